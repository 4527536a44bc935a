package resolve

import (
	"slices"
	"strconv"
	"strings"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// A space is the mounts of another mount namespace than fstrace's, as a root directory in
// it shows them. Paths there are names from the namespace's own root, which the kernel
// gives for /proc/TID/cwd and the like, and are not names on the host. But most mounts
// show something that is mounted on the host as well: then hostPath says where.
type space struct {
	host   *mountTable
	table  *mountTable // nil if nothing is known of the mounts
	origin *World
	shared bool // mounts made here may show elsewhere: mount_namespaces(7)
	// outside: the namespace may be older than the session.
	outside bool
	same    bool // its mounts are the host's, at the same places
	served  *Served
	read    uint // what spaces.changes was then
}

// An anchor is a directory at which a walk begins, and a name by which the kernel finds
// it. The zero anchor is the root of fstrace itself.
type anchor struct {
	at    string // its path in the space
	name  string // for the kernel; "" if it finds paths as they are
	space *space // nil for the host
}

// spaces are the mount namespaces that were met.
type spaces struct {
	known map[spaceKey]*space
	// mounts are all that were seen, by namespace and id. Of a thread whose root
	// directory is not a mount's, /proc does not say which mount that is on.
	mounts map[uint64]map[int]mount
	// changes counts calls that change mounts. One has taken effect for certain when its
	// thread makes its next call, or is gone.
	changes  uint
	changing map[int]struct{}
	foreign  bool // another namespace was met
	joined   bool // a process may have joined a namespace that the session has not made
}

type spaceKey struct {
	namespace uint64
	root      string
}

// maxSpaces bounds the memory of spaces.
const maxSpaces = 1 << 8

// mounting is called for a call that changes mounts.
func (s *spaces) mounting(tid int) {
	s.changes++
	if s.changing == nil {
		s.changing = make(map[int]struct{})
	}
	s.changing[tid] = struct{}{}
}

// calling is called for a thread's call.
func (s *spaces) calling(tid int, inSession func(tid int) bool) {
	for t := range s.changing {
		if t == tid || !inSession(t) {
			delete(s.changing, t)
			s.changes++
		}
	}
}

// space returns the space of a process, by its directory in a procfs, whose root
// directory is named root.
func (r *Resolver) space(proc string, namespace uint64, root string) (*space, error) {
	r.served.begin(false)
	r.mounting = true // the host's mounts matter from now on
	s := &r.spaces
	key := spaceKey{namespace, root}
	if sp := s.known[key]; sp != nil && sp.read == s.changes && len(s.changing) == 0 {
		return sp, nil
	}
	file, err := unix.Open(proc+"/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, procfs.ProcError(err.(unix.Errno), []byte(proc+"/mountinfo\x00"))
	}
	defer unix.Close(file)
	data, err := procfs.ReadAll(file, nil)
	if err != nil {
		return nil, procfs.ErrCallerGone
	}
	sp := &space{host: r.served.table, origin: r.World, read: s.changes, served: &Served{file: -1}}
	sp.table = s.place(parseMounts(data), namespace, root, proc)
	sp.shared = slices.ContainsFunc(sp.table.list, func(m mount) bool { return m.shared })
	sp.same = sp.host != nil && slices.EqualFunc(sp.table.list, sp.host.list, func(a, b mount) bool {
		return a.dev == b.dev && a.root == b.root && a.point == b.point
	})
	for i := range sp.table.list {
		if m := &sp.table.list[i]; isRemote(m.kind) && !r.served.before[m.dev] {
			sp.served.points = append(sp.served.points, &ServedMount{id: m.id, point: strings.TrimSuffix(m.point, "/")})
		}
	}
	if s.known == nil || len(s.known) >= maxSpaces {
		s.known = make(map[spaceKey]*space)
	}
	s.known[key] = sp
	return sp, nil
}

// place makes the points of a table paths of the namespace, and adds the mount that the
// root directory is on, if it is a known one.
func (s *spaces) place(t *mountTable, namespace uint64, root, proc string) *mountTable {
	if s.mounts == nil || len(s.mounts) >= maxSpaces {
		s.mounts = make(map[uint64]map[int]mount)
	}
	seen := s.mounts[namespace]
	if seen == nil || len(seen) >= maxCachedDirs {
		seen = make(map[int]mount)
		s.mounts[namespace] = seen
	}
	if root != "/" {
		for i := range t.list {
			t.list[i].point = strings.TrimSuffix(root+t.list[i].point, "/")
		}
	}
	for _, m := range t.list {
		seen[m.id] = m
	}
	if t.top != nil {
		return t
	}
	id := mountID(proc + "/root")
	if m, ok := seen[id]; ok && id != 0 {
		list := append(slices.Clone(t.list), m)
		t = newMountTable(list)
		t.top = &t.list[len(t.list)-1]
	}
	return t
}

// mountID returns the id of the mount that a name leads to, 0 if it cannot be learnt
// (before Linux 5.8). It asks no server.
func mountID(name string) int {
	var st unix.Statx_t
	if err := unix.Statx(unix.AT_FDCWD, name, unix.AT_STATX_DONT_SYNC, unix.STATX_MNT_ID, &st); err != nil || st.Mask&unix.STATX_MNT_ID == 0 {
		return 0
	}
	return int(st.Mnt_id)
}

// has reports whether a mount is in a table.
func (t *mountTable) has(id int) bool {
	return t != nil && slices.ContainsFunc(t.list, func(m mount) bool { return m.id == id })
}

// hostPath returns the host's name for a path of the space. If there is none it returns
// what to call it instead, and why that is not enough; nil if it is: what is on a file
// system that the session has made, and that no other process can see, was not there
// before and is not there afterwards.
func (s *space) hostPath(path string) (string, *procfs.Loss) {
	if s.table == nil {
		return path, &procfs.Loss{Reason: events.ReasonMountNamespace, Detail: path + " is on a mount of which nothing is known"}
	}
	m := s.table.cover(path)
	if m == nil {
		return path, &procfs.Loss{Reason: events.ReasonMountNamespace, Detail: path + " is on a mount of which nothing is known"}
	}
	if name, ok := s.host.find(m.dev, m.root+strings.TrimPrefix(path, strings.TrimSuffix(m.point, "/")), path); ok {
		return name, nil
	}
	switch {
	case ofKernel(path):
		return path, nil
	case kernelKinds[m.kind], isMemory(m.kind) && !s.outside && !s.origin.spaces.joined && !s.origin.served.seen[m.dev]:
		return m.kind + ":" + path, nil
	}
	return path, &procfs.Loss{Reason: events.ReasonMountNamespace, Detail: path + " is on " + m.point + " (" + m.kind + "), which is mounted nowhere else"}
}

// find returns where something of a file system is on the host; at best at preferred.
func (t *mountTable) find(dev uint64, path, preferred string) (found string, ok bool) {
	if t == nil {
		return "", false
	}
	if path != "/" {
		path = "/" + strings.Trim(path, "/")
	}
	for i := range t.list {
		m := &t.list[i]
		if m.dev != dev || !isBelow(path, m.root) {
			continue
		}
		name := m.point
		if rest := strings.TrimPrefix(path[len(strings.TrimSuffix(m.root, "/")):], "/"); rest != "" {
			name = strings.TrimSuffix(m.point, "/") + "/" + rest
		}
		if t.cover(name) != m {
			continue // something else is mounted there
		}
		if name == preferred {
			return name, true
		}
		if !ok || m.root == "/" {
			found, ok = name, true
		}
	}
	return found, ok
}

// ofKernel reports whether a path is one at which the kernel shows what it makes up,
// whatever is mounted there.
func ofKernel(path string) bool {
	return isBelow(path, "/proc") || isBelow(path, "/sys") || isBelow(path, "/dev")
}

// kernelKinds are file systems in which the kernel shows what it makes up.
var kernelKinds = map[string]bool{
	"proc": true, "sysfs": true, "devpts": true, "devtmpfs": true, "mqueue": true, "cgroup": true, "cgroup2": true,
	"debugfs": true, "tracefs": true, "securityfs": true, "configfs": true, "fusectl": true, "bpf": true, "binfmt_misc": true,
}

// isMemory reports whether file systems of a type are empty when they are mounted, and
// gone when they are not mounted any more.
func isMemory(kind string) bool { return kind == "tmpfs" || kind == "ramfs" }

// foreignView completes the view of a thread in another namespace.
func (r *Resolver) foreignView(tid int, v *View, namespace uint64) error {
	proc := "/proc/" + strconv.Itoa(tid)
	sp, err := r.space(proc, namespace, v.Root)
	if err != nil {
		return err
	}
	r.spaces.foreign = true
	v.space = sp
	if !sp.same {
		v.anchor = anchor{at: v.Root, name: proc + "/root", space: sp}
	}
	return nil
}

// anchorOf returns where a walk begins that begins at a magic link, by the kernel's name
// of that and the path that it holds. Nil says that it is the host.
func (r *Resolver) anchorOf(name, path string, v *View) *anchor {
	id := mountID(name)
	switch {
	case id == 0 && v.anchor.space == nil, r.served.table.has(id):
		return nil
	case id == 0:
		return &anchor{at: path, name: name, space: v.anchor.space}
	case v.space != nil && v.space.same && v.space.table.has(id):
		return nil
	case v.space != nil && v.space.table.has(id):
		return &anchor{at: path, name: name, space: v.space}
	}
	for _, sp := range r.spaces.known {
		if sp.table.has(id) {
			return &anchor{at: path, name: name, space: sp}
		}
	}
	if r.served.has(id) {
		return nil
	}
	return &anchor{at: path, name: name, space: &space{origin: r.World}}
}

// jump returns where a magic link leads, by the kernel's name of it and the path that it
// holds; st is what is there. Nil says that it is on the host.
func (r *Resolver) jump(name, path string, st *unix.Stat_t, v *View) *anchor {
	if !r.spaces.foreign && st.Mode&unix.S_IFMT != unix.S_IFDIR && procfs.IsAt(path, st) {
		return nil
	}
	r.served.begin(false)
	if id := mountID(name); id == 0 && procfs.IsAt(path, st) || r.served.has(id) {
		return nil
	}
	proc, pid := processDir(name)
	var space *space
	if ns, err := r.procfs.NamespaceOf(proc); err == nil && ns != r.mountNS {
		if n, errno := sys.Readlinkat(unix.AT_FDCWD, []byte(proc+"/root\x00"), r.procfs.Link[:]); errno == 0 {
			space, _ = r.space(proc, ns, string(r.procfs.Link[:n]))
		}
	}
	if space != nil && (!r.inSession(pid) || !isProcDir(proc, pid)) {
		space.outside = true
	}
	r.spaces.foreign = true
	return r.anchorOf(name, path, v)
}

// isProcDir reports whether dir is /proc/PID: not that of another procfs, where the
// number is another process's.
func isProcDir(dir string, pid int) bool {
	var st unix.Stat_t
	return unix.Stat(dir, &st) == nil && procfs.IsAt("/proc/"+strconv.Itoa(pid), &st)
}

// processDir returns the directory of a process in a procfs that a magic link is in, and
// its number.
func processDir(link string) (dir string, pid int) {
	dir = link[:max(0, strings.LastIndexByte(link, '/'))]
	for dir != "" {
		base := dir[strings.LastIndexByte(dir, '/')+1:]
		if pid, err := strconv.Atoi(base); err == nil {
			return dir, pid
		}
		dir = dir[:len(dir)-len(base)]
		dir = strings.TrimSuffix(dir, "/")
	}
	return link, 0
}

// onHost reports whether cur is a path that the kernel finds as it is.
func (w *walk) onHost() bool { return w.anchor.name == "" }

// hostPath returns the host's name for a path in the space that the walk is in.
func (w *walk) hostPath(path string) string {
	if w.anchor.space == nil {
		return path
	}
	name, lost := w.anchor.space.hostPath(path)
	if w.out.Lost == nil {
		w.out.Lost = lost
	}
	return name
}

// kernelName returns cur as an argument for the kernel, valid until the next call.
func (w *walk) kernelName() []byte {
	if w.onHost() {
		w.name = append(w.name[:0], w.cur...)
	} else {
		w.name = w.anchor.appendName(w.name[:0], w.cur)
	}
	if len(w.cur) == 0 {
		w.name = append(w.name, '/')
	}
	w.name = append(w.name, 0)
	return w.name
}

// appendName appends the kernel's name for a path of the space: one that goes down from
// the anchor or, where the path is elsewhere, up first.
func (a *anchor) appendName(b, path []byte) []byte {
	b = append(b, a.name...)
	at := strings.TrimSuffix(a.at, "/")
	for !isBelow(string(path), at) {
		b = append(b, "/.."...)
		at = at[:strings.LastIndexByte(at, '/')]
	}
	if len(path) == len(at) {
		return append(b, "/."...) // not the magic link itself
	}
	return append(b, path[len(at):]...)
}
