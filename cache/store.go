package cache

import (
	"context"
	"errors"
	"io"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
)

// ErrNotFound means that a store does not have a blob or a result.
var ErrNotFound = errors.New("not in the store")

// A Store keeps blobs by their digests, and results by the digests of actions. It may
// lose anything at any time. The methods may be called concurrently.
type Store interface {
	// Result returns the result of an action, or an error that wraps ErrNotFound.
	Result(ctx context.Context, action Digest) (*repb.ActionResult, error)
	// PutResult stores a result. The store has the blobs of the result already.
	PutResult(ctx context.Context, action Digest, r *repb.ActionResult) error
	// Missing returns the digests of a list whose blobs the store does not have.
	Missing(ctx context.Context, list []Digest) ([]Digest, error)
	// Blobs calls put with the content of each blob of a list, in any order, and for
	// several at once. What is read may be wrong. The error wraps ErrNotFound if the
	// store does not have one of them, and otherwise is the first of a call of put or of
	// its own.
	Blobs(ctx context.Context, list []Digest, put func(d Digest, r io.Reader) error) error
	// PutBlobs stores blobs.
	PutBlobs(ctx context.Context, list []Blob) error
}

// A Blob is content that may have to be stored. Open may be called several times.
type Blob struct {
	Digest
	Open func() (io.ReadCloser, error)
}
