package ipc

import "sync"

// A budget is how many bytes all spools together may have.
type budget struct {
	limit int64
	// floor is what each spool may have in any case, so that none is held up by others
	// that have it all.
	floor int64
	// evict makes room: it gives up something that is kept, and reports whether there was
	// anything.
	evict func() bool
	// evictFollowed is evict for what somebody reads, nil for never.
	evictFollowed func() bool

	mu   sync.Mutex
	used int64
}

// take takes n bytes, if they are there.
func (b *budget) take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.limit {
		return false
	}
	b.used += n
	return true
}

// give gives n bytes back.
func (b *budget) give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
}

func (b *budget) inUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
