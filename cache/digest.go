package cache

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"google.golang.org/protobuf/proto"
)

// A Digest names a blob: its SHA-256 in 64 hexadecimal digits, and its size in bytes.
type Digest struct {
	Hash string
	Size int64
}

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest {
	sum := sha256.Sum256(b)
	return Digest{hex.EncodeToString(sum[:]), int64(len(b))}
}

// String returns the form of the Remote Execution API: HASH/SIZE.
func (d Digest) String() string { return fmt.Sprintf("%s/%d", d.Hash, d.Size) }

func (d Digest) message() *repb.Digest {
	return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size}
}

// digestFrom checks a digest that somebody else wrote.
func digestFrom(m *repb.Digest) (Digest, error) {
	d := Digest{m.GetHash(), m.GetSizeBytes()}
	if sum, err := hex.DecodeString(d.Hash); err != nil || len(sum) != sha256.Size || d.Size < 0 {
		return Digest{}, fmt.Errorf("digest %q of %d bytes: not a SHA-256", d.Hash, d.Size)
	}
	return d, nil
}

// encode returns the bytes of a message, the same for the same message.
func encode(m proto.Message) ([]byte, error) {
	return proto.MarshalOptions{Deterministic: true}.Marshal(m)
}

// errWrongBlob means that what was read is not the blob of that digest.
var errWrongBlob = errors.New("not the blob of its digest")

// A verifier passes on what it reads, and returns errWrongBlob instead of io.EOF if that
// is not the blob of its digest.
type verifier struct {
	r    io.Reader
	want Digest
	sum  hash.Hash
	n    int64
}

func verify(r io.Reader, want Digest) *verifier {
	return &verifier{r: r, want: want, sum: sha256.New()}
}

func (v *verifier) Read(b []byte) (int, error) {
	n, err := v.r.Read(b)
	v.sum.Write(b[:n])
	v.n += int64(n)
	if v.n > v.want.Size || err == io.EOF && (v.n < v.want.Size || hex.EncodeToString(v.sum.Sum(nil)) != v.want.Hash) {
		return n, fmt.Errorf("%s: %w", v.want, errWrongBlob)
	}
	return n, err
}

// readBlob reads a blob into memory and verifies it.
func readBlob(r io.Reader, d Digest) ([]byte, error) {
	var b bytes.Buffer
	_, err := io.Copy(&b, verify(r, d))
	return b.Bytes(), err
}
