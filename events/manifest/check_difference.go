package manifest

import (
	"strconv"
	"strings"
	"sync"

	"github.com/fstrace/fstrace/events"
)

// A Reason says why a manifest is stale. The list is closed.
type Reason string

// Reasons.
const (
	ContentChanged  Reason = "content changed"
	Appeared        Reason = "appeared"
	Vanished        Reason = "vanished"
	ListingChanged  Reason = "listing changed"
	SymlinkChanged  Reason = "symlink changed"
	TypeChanged     Reason = "type changed"
	ModeChanged     Reason = "mode changed"
	OwnerChanged    Reason = "owner changed"
	MetadataChanged Reason = "metadata changed" // size, time or number of links that the command asked for
)

// A Difference is one reason why a manifest is stale.
type Difference struct {
	Reason Reason
	Path   string // as the manifest has it
	Detail string
	// Added and Gone are the names that a listing has gained and lost. Each has a prefix
	// for its type, as in [Entry.Names].
	Added, Gone []string
}

func differ(r Reason, path, detail string) []Difference {
	return []Difference{{Reason: r, Path: path, Detail: detail}}
}

// String returns the line that fstrace check prints.
func (d *Difference) String() string {
	s := string(d.Reason) + ": " + events.Quote(d.Path)
	detail := d.Detail
	if d.Reason == ListingChanged && detail == "" {
		detail = listChanges(d.Added, d.Gone)
	}
	if detail != "" {
		s += " (" + detail + ")"
	}
	return s
}

// listChanges gives names as "+a -b"; of many, the first.
func listChanges(added, gone []string) string {
	const most = 10
	var b strings.Builder
	n := 0
	for _, part := range []struct {
		sign  byte
		names []string
	}{{'+', added}, {'-', gone}} {
		for _, typed := range part.names {
			if n++; n > most {
				continue
			}
			if n > 1 {
				b.WriteByte(' ')
			}
			b.WriteByte(part.sign)
			b.WriteString(events.Quote(nameOf(typed)))
		}
	}
	if n > most {
		b.WriteString(" and " + strconv.Itoa(n-most) + " more")
	}
	return b.String()
}

// lockedPatterns are for several at once.
type lockedPatterns struct {
	mu       sync.Mutex
	patterns *patterns
}

func (p *lockedPatterns) reports(path string) bool {
	if p.patterns == nil {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.patterns.reports(path)
}
