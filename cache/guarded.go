package cache

import (
	"context"
	"errors"
	"io"
	"sync/atomic"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
)

// errDown means that a store has failed before, and is not asked again.
var errDown = errors.New("the remote store has failed before")

// A guarded is a store that is not asked any more once it has failed: a server that is
// slow or absent costs its deadline once.
type guarded struct {
	store Store
	down  atomic.Bool
	warn  func(error)
}

// check notes whether the store has failed.
func (g *guarded) check(err error) error {
	if err == nil || errors.Is(err, ErrNotFound) || errors.Is(err, errWrongBlob) {
		return err
	}
	if g.down.Swap(true) {
		return errDown
	}
	g.warn(err)
	return errDown
}

func (g *guarded) Result(ctx context.Context, action Digest) (*repb.ActionResult, error) {
	if g.down.Load() {
		return nil, ErrNotFound
	}
	r, err := g.store.Result(ctx, action)
	if err = g.check(err); errors.Is(err, errDown) {
		err = ErrNotFound
	}
	return r, err
}

func (g *guarded) PutResult(ctx context.Context, action Digest, r *repb.ActionResult) error {
	if g.down.Load() {
		return errDown
	}
	return g.check(g.store.PutResult(ctx, action, r))
}

func (g *guarded) Missing(ctx context.Context, list []Digest) ([]Digest, error) {
	if g.down.Load() {
		return nil, errDown
	}
	missing, err := g.store.Missing(ctx, list)
	return missing, g.check(err)
}

func (g *guarded) Blobs(ctx context.Context, list []Digest, put func(Digest, io.Reader) error) error {
	if g.down.Load() {
		return ErrNotFound
	}
	err := g.check(g.store.Blobs(ctx, list, put))
	if errors.Is(err, errDown) {
		err = ErrNotFound
	}
	return err
}

func (g *guarded) PutBlobs(ctx context.Context, list []Blob) error {
	if g.down.Load() {
		return errDown
	}
	return g.check(g.store.PutBlobs(ctx, list))
}
