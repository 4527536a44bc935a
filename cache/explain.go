package cache

import (
	"context"
	"errors"
	"fmt"

	"github.com/fstrace/fstrace/events/manifest"
)

// An Explanation says whether the result of a task would be found, and if not, why.
type Explanation struct {
	Hit, Remote bool
	// Candidates is how many earlier runs of the task are known, that is how many path
	// sets.
	Candidates int
	// Differences are those of the nearest candidate: the inputs that are not as they
	// were when its result was used last. They are empty if the inputs are the same, but
	// the store has lost the result.
	Differences []manifest.Difference
}

// Explain says whether the result of a task would be found. It runs nothing.
func (c *Cache) Explain(ctx context.Context, t *Task) (*Explanation, error) {
	k, err := c.key(t)
	if err != nil {
		return nil, err
	}
	x := &Explanation{}
	found, err := c.lookup(ctx, k)
	switch {
	case err == nil:
		x.Hit, x.Remote = true, found.remote
	case !errors.Is(err, ErrNotFound):
		return nil, err
	}
	checker, isFirst := manifest.NewChecker(), true
	list := c.candidates(ctx, c.disk, k)
	if c.remote != nil {
		list = append(list, c.candidates(ctx, c.remote, k)...)
	}
	seen := make(map[Digest]bool)
	for _, one := range list {
		if seen[one.paths] {
			continue
		}
		seen[one.paths] = true
		x.Candidates++
		if x.Hit {
			continue
		}
		differences, err := c.differences(ctx, checker, one)
		if err != nil {
			c.warn(fmt.Errorf("path set %s: %w", one.paths, err))
			continue
		}
		if isFirst || len(differences) < len(x.Differences) {
			x.Differences, isFirst = differences, false
		}
	}
	return x, nil
}

// differences returns what has changed since a candidate was used last.
func (c *Cache) differences(ctx context.Context, checker *manifest.Checker, x candidate) ([]manifest.Difference, error) {
	set, err := c.pathSet(ctx, x.paths)
	if err != nil {
		return nil, err
	}
	found, err := c.read(ctx, x.found)
	if err != nil {
		return nil, err
	}
	now, err := checker.Look(set, c.Hashes)
	if err != nil {
		return nil, err
	}
	return set.Differences(found, now)
}
