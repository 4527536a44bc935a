package resolve

import (
	"strings"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

const (
	// maxKnownAge is how long the result of a lookup is that of another call which was
	// told the same identity, or that nothing is there. Other answers say less: [MaxAge].
	maxKnownAge = 100 * time.Millisecond
	// maxKnown bounds the memory of them.
	maxKnown = 1 << 12
)

// An Answer is what a call was told about a path.
type Answer struct {
	Result int64 // 0 or more, or -errno
	Info   events.FileInfo
}

// A knownCache has the results of lookups for calls that got an answer. A call that gets
// the same answer about the same string has found the same: nothing is looked at again.
// The session has changed nothing since, as nothing is kept when it does.
type knownCache struct {
	found map[string]*knownResult // by knownKey
	key   []byte
}

type knownResult struct {
	Result
	answer Answer
	until  time.Time
}

// forget is called before anything changes.
func (k *knownCache) forget() { clear(k.found) }

// knownKey returns the name of a lookup. It is valid until the next one.
func (r *Resolver) knownKey(base Base, path []byte, mode Mode) []byte {
	k := append(append(r.known.key[:0], byte(mode)), path...)
	if path[0] != '/' {
		k = append(append(k, 0), base.Path...)
	}
	r.known.key = k
	return k
}

// LookupAnswered is Lookup for a path of the host about which a call has got an answer.
// The result may be that of an earlier call with the same answer.
func (r *Resolver) LookupAnswered(v *View, base Base, path []byte, mode Mode, a *Answer) Result {
	if base.Gone || base.anchor != nil {
		return r.Lookup(v, base, path, mode)
	}
	key := r.knownKey(base, path, mode)
	if k := r.known.found[string(key)]; k != nil && k.answer == *a && r.Now.Before(k.until) {
		return k.Result
	}
	found := r.Lookup(v, base, path, mode)
	end := found.End()
	if r.recent.off || found.State == events.StateUnknown || found.Lost != nil || strings.HasPrefix(end, "/proc/") || r.MayHaveChanged(&found) {
		return found
	}
	if r.known.found == nil {
		r.known.found = make(map[string]*knownResult)
	} else if len(r.known.found) >= maxKnown {
		clear(r.known.found)
	}
	age := MaxAge
	if a.Info.Known() || a.Result == -int64(unix.ENOENT) {
		age = maxKnownAge
	}
	r.known.found[string(r.knownKey(base, path, mode))] = &knownResult{found, *a, r.Now.Add(age)}
	return found
}
