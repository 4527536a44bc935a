package varlink

import "sync"

// A Budget limits the sum of what several goroutines take: bytes, or descriptors.
type Budget struct {
	Limit int64 // set before use

	mu   sync.Mutex
	used int64
}

// Take takes n, and reports whether there was as much.
func (b *Budget) Take(n int64) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.used+n > b.Limit {
		return false
	}
	b.used += n
	return true
}

// Give gives n back.
func (b *Budget) Give(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.used -= n
}

// InUse returns the sum of what has been taken and not given back.
func (b *Budget) InUse() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.used
}
