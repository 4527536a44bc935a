package tracer

import (
	"slices"
	"strings"
	"sync"

	"github.com/fstrace/fstrace/events"
)

// incompleteness collects why a record may miss something: each reason once for a
// process, with the first detail. It is safe for concurrent use.
type incompleteness struct {
	mu   sync.Mutex
	seen map[incompleteKey]string
	// also is called for each; nil for no call. It is set before the first.
	also func(reason events.Reason, pid int, detail string)
}

type incompleteKey struct {
	reason events.Reason
	pid    int
}

func (g *incompleteness) add(reason events.Reason, pid int, detail string) {
	if g.also != nil {
		g.also(reason, pid, detail)
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.seen == nil {
		g.seen = make(map[incompleteKey]string)
	}
	key := incompleteKey{reason, pid}
	if _, ok := g.seen[key]; !ok {
		g.seen[key] = detail
	}
}

// count returns how many there are.
func (g *incompleteness) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.seen)
}

// list returns the gaps in a fixed order.
func (g *incompleteness) list() []events.Incomplete {
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
