package ipc

import "github.com/fstrace/fstrace/ipc/internal/varlink"

// A room is the space that all sessions share, on the disk or in memory.
type room struct {
	varlink.Budget
	// floor is how much each spool may have in any case, so that others that have it all
	// cannot delay it.
	floor int64
	// evict makes room: it gives up something that is kept, and reports whether there was
	// anything.
	evict func() bool
	// evictFollowed is evict for what a client reads, nil for never.
	evictFollowed func() bool
}
