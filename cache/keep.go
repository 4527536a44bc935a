package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fstrace/fstrace/events/manifest"
)

// bytesBlob is the blob of an encoded message.
func bytesBlob(m message) Blob {
	return Blob{m.Digest, func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(m.bytes)), nil }}
}

// keep stores the result of a run, or returns why not.
func (c *Cache) keep(ctx context.Context, k *taskKey, x *ran) error {
	if err := c.admit(k.task, x.m); err != nil {
		return err
	}
	set, err := manifest.NewPathSet(x.m, c.pathSetOptions())
	if err != nil {
		return refuse(RefusedInput, "%v", err)
	}
	found := set.Found(x.m, c.pathSetOptions())
	r, blobs, err := newResult(&c.Options, x, set.Free(x.m))
	if err != nil {
		return err
	}
	messages, err := k.messages(found)
	if err != nil {
		return err
	}
	document := set.Encode()
	one := candidate{DigestOf(document), DigestOf(found)}
	blobs = append(blobs, bytesBlob(message{one.paths, document}), bytesBlob(message{one.found, found}))
	for _, m := range messages {
		blobs = append(blobs, bytesBlob(m))
	}
	action := messages[0].Digest
	if err := put(ctx, c.disk, blobs); err != nil {
		if errors.Is(err, errWrongBlob) {
			return refuse(RefusedChanged, "%v", err)
		}
		return refuse(RefusedStore, "%v", err)
	}
	if err := c.disk.PutResult(ctx, action, r); err != nil {
		return refuse(RefusedStore, "%v", err)
	}
	if err := c.addCandidate(ctx, k, one); err != nil {
		return refuse(RefusedStore, "%v", err)
	}
	if c.remote != nil && !c.ReadOnly {
		if err := c.upload(ctx, k, one, action, r, blobs); err != nil && !errors.Is(err, errDown) {
			c.warn(fmt.Errorf("the result is kept here only: %w", err))
		}
	}
	return nil
}

// put stores the blobs that a store does not have.
func put(ctx context.Context, s Store, blobs []Blob) error {
	byDigest, list := make(map[Digest]Blob, len(blobs)), make([]Digest, 0, len(blobs))
	for _, b := range blobs {
		if _, ok := byDigest[b.Digest]; !ok {
			byDigest[b.Digest] = b
			list = append(list, b.Digest)
		}
	}
	missing, err := s.Missing(ctx, list)
	if err != nil {
		return err
	}
	wanted := make([]Blob, len(missing))
	for i, d := range missing {
		wanted[i] = byDigest[d]
	}
	return s.PutBlobs(ctx, wanted)
}

// upload stores a result in the remote store. Blobs are read from the local one, because
// the files may have changed.
func (c *Cache) upload(ctx context.Context, k *taskKey, x candidate, action Digest, r *resultMessage, blobs []Blob) error {
	for i := range blobs {
		d := blobs[i].Digest
		blobs[i].Open = func() (io.ReadCloser, error) { return c.disk.open(d) }
	}
	if err := put(ctx, c.remote, blobs); err != nil {
		return err
	}
	if err := c.remote.PutResult(ctx, action, r); err != nil {
		return err
	}
	list := c.candidates(ctx, c.remote, k)
	return c.remote.PutResult(ctx, k.digest, candidateList(withFirst(x, list)))
}
