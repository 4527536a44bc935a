package tracer

import (
	"slices"
	"strings"
	"sync"

	"github.com/fstrace/fstrace/events"
)

// gaps collects why a record may miss something: each reason once for a process,
// with the first detail. It is safe for concurrent use.
type gaps struct {
	mu   sync.Mutex
	seen map[gapKey]string
	// also is called for each; nil for no call. It is set before the first.
	also func(reason events.Reason, pid int, detail string)
}

type gapKey struct {
	reason events.Reason
	pid    int
}

func (g *gaps) add(reason events.Reason, pid int, detail string) {
	if g.also != nil {
		g.also(reason, pid, detail)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil {
		g.seen = make(map[gapKey]string)
	}
	key := gapKey{reason, pid}
	if _, ok := g.seen[key]; !ok {
		g.seen[key] = detail
	}
}

// count returns how many there are.
func (g *gaps) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.seen)
}

// list returns the gaps in a fixed order.
func (g *gaps) list() []events.Incomplete {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []events.Incomplete
	for key, detail := range g.seen {
		list = append(list, events.Incomplete{Reason: key.reason, PID: key.pid, Detail: detail})
	}
	slices.SortFunc(list, func(a, b events.Incomplete) int {
		if a.Reason != b.Reason {
			return strings.Compare(string(a.Reason), string(b.Reason))
		}
		return a.PID - b.PID
	})
	return list
}
