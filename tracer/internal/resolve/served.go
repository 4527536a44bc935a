package resolve

import (
	"strings"
	"sync/atomic"

	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// A Served is what is known of mounts whose file systems are served by a process that may
// have to wait for fstrace: a FUSE server that the command has started makes file calls
// of its own, which are notified. A hand gives up the lock before it looks at such a
// mount (package tracer, hands.go).
//
// These are the mounts of such types that the session has seen made. A mount that was
// there before has its server outside the session; it is added when it turns out to be
// slow.
type Served struct {
	points []*ServedMount
	// file is the open /proc/self/mountinfo, which poll(2) reports changes of; -1 before
	// the first mount.
	file   int
	before map[uint64]bool // the devices of the mounts that were there before
	table  *mountTable     // as it was read last
	seen   map[uint64]bool // the devices of all mounts that were there at some time
	slow   map[int]int     // how often a look-up at others of them took long
	paths  *ServedPaths    // nil for nobody to tell
	// unpinned: the session unmounts /proc. The file is not kept open, but read at each
	// call.
	unpinned bool
}

// A ServedMount is a mount that may have to be waited for.
type ServedMount struct {
	id    int
	point string
	Stuck int // look-ups that are not answered in time
}

// remoteKinds are file systems that a process or another machine serves.
var remoteKinds = map[string]bool{
	"fuse": true, "fuseblk": true, "9p": true, "nfs": true, "nfs4": true, "cifs": true, "smb3": true,
	"autofs": true, "afs": true, "ceph": true, "coda": true, "orangefs": true, "virtiofs": true,
}

func isRemote(kind string) bool { return remoteKinds[kind] || strings.HasPrefix(kind, "fuse.") }

// Of returns the mount that a canonical path is on, if it may have to be waited for.
func (s *Served) Of(path []byte) *ServedMount {
	if s == nil {
		return nil
	}
	var found *ServedMount
	for _, m := range s.points {
		n := len(m.point)
		if len(path) >= n && string(path[:n]) == m.point && (len(path) == n || path[n] == '/') &&
			(found == nil || n >= len(found.point)) {
			found = m
		}
	}
	return found
}

// begin notes the mounts that are there before the session makes its first. If unpinned,
// /proc is about to be unmounted.
func (s *Served) begin(unpinned bool) {
	if s.unpinned = s.unpinned || unpinned; s.unpinned {
		s.close()
	}
	if s.before != nil {
		return
	}
	t, ok := s.read()
	if !ok {
		return
	}
	s.before = make(map[uint64]bool, len(t.list))
	for i := range t.list {
		s.before[t.list[i].dev] = true
	}
}

// read opens mountinfo again and reads it: poll(2) reports changes since then.
func (s *Served) read() (*mountTable, bool) {
	s.close()
	file, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, false
	}
	data, err := procfs.ReadAll(file, nil)
	if err != nil {
		unix.Close(file)
		return nil, false
	}
	if s.file = file; s.unpinned {
		s.close()
	}
	s.table = parseMounts(data)
	if s.seen == nil {
		s.seen = make(map[uint64]bool)
	}
	for i := range s.table.list {
		s.seen[s.table.list[i].dev] = true
	}
	return s.table, true
}

// refresh looks for new mounts, once begin was called, and reports whether there may be.
func (s *Served) refresh() bool {
	if s.file >= 0 {
		p := []unix.PollFd{{Fd: int32(s.file), Events: unix.POLLPRI}}
		if n, err := unix.Poll(p, 0); err != nil || n == 0 {
			return false
		}
	}
	s.update()
	return true
}

// has reports whether a mount, by its id, is one of fstrace's mount namespace.
func (s *Served) has(id int) bool {
	if s.table.has(id) {
		return true
	}
	if id != 0 {
		s.update() // it may be new
	}
	return s.table.has(id)
}

// update reads which mounts there are.
func (s *Served) update() {
	t, ok := s.read()
	if !ok {
		return
	}
	known := make(map[int]*ServedMount, len(s.points))
	for _, m := range s.points {
		known[m.id] = m
	}
	s.points = nil
	for i := range t.list {
		m := &t.list[i]
		p := known[m.id]
		isSlow := s.slow[m.id] >= slowLookups || p != nil && p.Stuck > 0
		if !(isRemote(m.kind) && !s.before[m.dev]) && !isSlow {
			continue
		}
		if p == nil || p.point != m.point {
			p = &ServedMount{id: m.id, point: strings.TrimSuffix(m.point, "/")}
		}
		s.points = append(s.points, p)
	}
	s.publish()
}

// learn is called when a lookup at a canonical path takes long, or is abandoned. It
// returns the mount, if lookups on it need a timeout from now on.
func (s *Served) learn(path []byte, givenUp bool) *ServedMount {
	if m := s.Of(path); m != nil {
		return m
	}
	s.begin(false)
	t, ok := s.read()
	if !ok {
		return nil
	}
	m := t.cover(string(path))
	if m == nil {
		return nil
	}
	if s.slow == nil {
		s.slow = make(map[int]int)
	}
	if isRemote(m.kind) { // a disk that is slow now will not be later
		s.slow[m.id]++
	}
	if s.slow[m.id] < slowLookups && !(givenUp && m.point != "/") { // most else is on that
		return nil
	}
	p := &ServedMount{id: m.id, point: strings.TrimSuffix(m.point, "/")}
	s.points = append(s.points, p)
	s.publish()
	return p
}

// slowLookups is how many look-ups must take long before a mount is known for that.
const slowLookups = 3

// publish makes the mounts visible to other threads.
func (s *Served) publish() {
	if s.paths == nil {
		return
	}
	list := make([]string, len(s.points))
	for i, m := range s.points {
		list[i] = m.point
	}
	s.paths.Set(list)
}

// A ServedPaths is what threads other than the hands know of served mounts.
type ServedPaths struct {
	// Changed is called with each list; nil for no call. It is set before there is one.
	Changed func([]string)

	list atomic.Pointer[[]string]
}

// Set replaces what is known.
func (s *ServedPaths) Set(points []string) {
	s.list.Store(&points)
	if s.Changed != nil {
		s.Changed(points)
	}
}

// Has reports whether a path is on such a mount. It is safe for concurrent use.
func (s *ServedPaths) Has(path string) bool {
	list := s.list.Load()
	if list == nil {
		return false
	}
	for _, point := range *list {
		if isBelow(path, point) || point == "" {
			return true
		}
	}
	return false
}

// close closes mountinfo.
func (s *Served) close() {
	if s.file >= 0 {
		unix.Close(s.file)
		s.file = -1
	}
}
