package cache

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/fstrace/fstrace/events/manifest"
)

// A hit is a result that a store has.
type hit struct {
	*result
	remote bool
}

// lookup returns the result of a task, or an error that wraps ErrNotFound.
func (c *Cache) lookup(ctx context.Context, k *taskKey) (*hit, error) {
	// One look at each path, for all candidates.
	checker := manifest.NewChecker()
	stores := []Store{c.disk}
	if c.remote != nil {
		stores = append(stores, c.remote)
	}
	for _, s := range stores {
		for _, x := range c.candidates(ctx, s, k) {
			key, ok := c.second(ctx, checker, k, x)
			if !ok {
				continue
			}
			r, err := s.Result(ctx, key.action)
			if errors.Is(err, ErrNotFound) {
				continue
			}
			var found *result
			if err == nil {
				found, err = parseResult(&c.Options, r)
			}
			if err == nil {
				err = c.bring(ctx, found.blobs())
			}
			if err != nil {
				c.warn(err)
				continue
			}
			if s == Store(c.remote) {
				c.adopt(ctx, k, key, r)
				return &hit{found, true}, nil
			}
			c.prefer(ctx, k, key.candidate)
			return &hit{found, false}, nil
		}
	}
	return nil, ErrNotFound
}

// candidates returns the path sets of a task that a store has, the most recent first.
func (c *Cache) candidates(ctx context.Context, s Store, k *taskKey) []candidate {
	r, err := s.Result(ctx, k.digest)
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			c.warn(err)
		}
		return nil
	}
	list, err := candidatesOf(r)
	if err != nil {
		c.warn(err)
	}
	return list
}

// A secondKey is what a path set leads to now.
type secondKey struct {
	action Digest
	found  []byte
	candidate
}

// second returns the key that a candidate leads to now, and reports whether there is one.
func (c *Cache) second(ctx context.Context, checker *manifest.Checker, k *taskKey, x candidate) (*secondKey, bool) {
	set, err := c.pathSet(ctx, x.paths)
	if err != nil {
		if !errors.Is(err, ErrNotFound) {
			c.warn(err)
		}
		return nil, false
	}
	found, err := checker.Look(set, c.Hashes)
	if err != nil {
		c.warn(fmt.Errorf("an input cannot be compared: %w", err))
		return nil, false
	}
	messages, err := k.messages(found)
	if err != nil {
		c.warn(err)
		return nil, false
	}
	return &secondKey{messages[0].Digest, found, candidate{x.paths, DigestOf(found)}}, true
}

// pathSet reads a path set from the local store, or from the remote one.
func (c *Cache) pathSet(ctx context.Context, d Digest) (*manifest.PathSet, error) {
	b, err := c.read(ctx, d)
	if err != nil {
		return nil, err
	}
	return manifest.DecodePathSet(b, c.Places)
}

// read returns a blob that is small.
func (c *Cache) read(ctx context.Context, d Digest) ([]byte, error) {
	const most = 64 << 20
	if d.Size > most {
		return nil, fmt.Errorf("%s: %w", d, ErrNotFound)
	}
	if err := c.bring(ctx, []Digest{d}); err != nil {
		return nil, err
	}
	f, err := c.disk.open(d)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := readBlob(f, d)
	if errors.Is(err, errWrongBlob) {
		c.disk.drop(d)
		err = fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return b, err
}

// bring copies blobs that the local store does not have from the remote one. It returns
// an error that wraps ErrNotFound if one is nowhere.
func (c *Cache) bring(ctx context.Context, list []Digest) error {
	missing, err := c.disk.Missing(ctx, list)
	if err != nil {
		return err
	}
	if len(missing) == 0 {
		return nil
	}
	if c.remote == nil {
		return fmt.Errorf("blob %s: %w", missing[0], ErrNotFound)
	}
	return c.remote.Blobs(ctx, missing, c.disk.putBlob)
}

// adopt stores a remote result locally.
func (c *Cache) adopt(ctx context.Context, k *taskKey, key *secondKey, r *resultMessage) {
	err := c.disk.putBlob(key.candidate.found, bytes.NewReader(key.found))
	if err == nil {
		err = c.disk.PutResult(ctx, key.action, r)
	}
	if err != nil {
		c.warn(err)
		return
	}
	c.prefer(ctx, k, key.candidate)
}

// prefer puts a candidate at the front of the local list.
func (c *Cache) prefer(ctx context.Context, k *taskKey, x candidate) {
	if list := c.candidates(ctx, c.disk, k); len(list) > 0 && list[0].paths == x.paths {
		return
	}
	if err := c.addCandidate(ctx, k, x); err != nil {
		c.warn(err)
	}
}

// addCandidate adds a candidate to the local list.
func (c *Cache) addCandidate(ctx context.Context, k *taskKey, x candidate) error {
	unlock, err := c.disk.lock()
	if err != nil {
		return err
	}
	defer unlock()
	return c.disk.PutResult(ctx, k.digest, candidateList(withFirst(x, c.candidates(ctx, c.disk, k))))
}
