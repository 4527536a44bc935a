package manifest

import (
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// keptTemporaries is how many temporary names a fold keeps one by one. A session may make
// and remove millions: beyond that many, the oldest are forgotten, and only counted.
const keptTemporaries = 4096

// A forgetter knows which temporary names a fold has forgotten, and when to forget more.
type forgetter struct {
	keep  int
	begin time.Time // of the session
	// removals counts calls that removed or renamed something since the last sweep. When
	// it reaches due, the fold looks what it can forget.
	removals, due int
	// looked are names that will be forgotten if they were absent, as they were
	// looked at until lookedUntil.
	looked      []absentName
	lookedUntil time.Time
	// names has what was forgotten, by the directory that it was in.
	names  map[*origin]*forgottenNames
	budget int // how many bytes more the filters may take

	// dead are the files that the session made and removed and of which the maps by inode
	// still know, the oldest first; isDead has those that were not seen again.
	dead   []content
	isDead map[inode]struct{}
}

func newForgetter() forgetter {
	return forgetter{
		keep: keptTemporaries, due: keptTemporaries, names: make(map[*origin]*forgottenNames), budget: filterBudget, isDead: make(map[inode]struct{}),
	}
}

// forget is called before an event is taken in. It forgets in two steps. First it looks
// whether the oldest temporary names are absent, because their removal was only
// predicted. By then calls may have been made of which no event has been taken in yet. So
// it waits for an event that is younger than the look. Each call that was made before the
// look was told before that one: if a name then still is what it was, it was absent.
func (f *fold) forget(e *events.Event) {
	q := &f.forgotten
	if len(q.looked) > 0 {
		if !e.Time.After(q.lookedUntil) {
			q.moved(e)
			return
		}
		f.sweep()
		return
	}
	if q.removals < q.due {
		return
	}
	f.lookAtOldest()
	if len(q.looked) == 0 {
		f.sweep()
	}
}

// forgetLast forgets what there is too much of in the end: all events have been taken in.
func (f *fold) forgetLast() {
	f.forgotten.looked = nil
	if f.lookAtOldest(); len(f.forgotten.looked) > 0 {
		f.sweep()
	}
}

// lookAtOldest looks which of the oldest temporary names are absent.
func (f *fold) lookAtOldest() {
	q := &f.forgotten
	begin := f.now()
	for _, n := range f.oldest() {
		path := n.path()
		if n.isUnderMoved(begin.Add(-time.Second).UnixNano()) {
			continue
		}
		if _, err := f.fs.lstat(path); isAbsent(err) {
			q.looked = append(q.looked, absentName{n, path})
		}
	}
	q.lookedUntil = f.now()
}

// isUnderMoved reports whether a directory above n got its name so late that the call may
// not have come to its end yet.
func (n *node) isUnderMoved(since int64) bool {
	for up := n.parent(); up != nil; up = up.parent() {
		if up.past().movedAt > since {
			return true
		}
	}
	return false
}

// An absentName is a temporary name at which nothing was when it was looked at.
type absentName struct {
	*node
	path string
}

// moved is called of an event that was to come before or during the look. A directory
// that had another name as it was looked at says nothing of what is in it.
func (q *forgetter) moved(e *events.Event) {
	if e.Op != events.OpRename {
		return
	}
	q.looked = slices.DeleteFunc(q.looked, func(a absentName) bool {
		return isWithin(a.path, e.Path) || isWithin(a.path, e.To)
	})
}

// oldest returns the temporary names to forget.
func (f *fold) oldest() []*node {
	var list []*node
	seen := make(map[*node]struct{})
	for _, n := range f.changes {
		if _, ok := seen[n]; !ok && n.isTemporary() && n.path() != "" {
			seen[n] = struct{}{}
			list = append(list, n)
		}
	}
	if len(list) <= f.forgotten.keep {
		return nil
	}
	return list[:len(list)-f.forgotten.keep/2]
}

// sweep forgets what was absent, and drops what is no longer needed. It looks at all that
// is kept: the next one waits until a part of that is new.
func (f *fold) sweep() {
	q := &f.forgotten
	clear(f.tree.directories)
	s := f.survey()
	f.forgetAbsent(s)
	clear(q.looked)
	q.looked = q.looked[:0]
	f.prune(s)
	q.removals, q.due = 0, max(q.keep, (s.nodes+f.paths.all.len())/4)
}

// A survey is what a sweep has to know of the tree.
type survey struct {
	nodes int
	// held are the origins, absent before the session, that nodes elsewhere than at their
	// path point to.
	held map[*origin]struct{}
	// went are the nodes that may give back what is below them (see comeBack).
	went map[*node]struct{}
}

func (f *fold) survey() *survey {
	s := &survey{held: make(map[*origin]struct{}), went: make(map[*node]struct{})}
	s.visit(f.tree.root, f.paths.root)
	for _, r := range f.renamed {
		s.hold(r.from)
	}
	return s
}

// visit looks at n, which is at the path at, and at all below it. at is nil if nobody
// named that path, or if n is no longer in the tree.
func (s *survey) visit(n *node, at *origin) {
	s.nodes++
	past := n.past()
	for _, o := range [...]*origin{n.from, past.left} {
		if o != at {
			s.hold(o)
		}
	}
	if w := past.went; w != nil {
		if _, ok := s.went[w]; !ok {
			s.went[w] = struct{}{}
			if !w.inPlace() {
				s.visit(w, nil)
			}
		}
	}
	if n.below == nil {
		return
	}
	for name, c := range n.below.nodes {
		var below *origin
		if at != nil {
			below = at.more.below.find(name)
		}
		s.visit(c, below)
	}
}

func (s *survey) hold(o *origin) {
	if o != nil && !exists(o.state) {
		s.held[o] = struct{}{}
	}
}

// inPlace reports whether n is in the directory that it says. If not, it never will be
// again.
func (n *node) inPlace() bool {
	return n.in == nil || n.in.nodes[n.name] == n && n.in.node.below == n.in
}

// isDead reports whether n has no path, and never will have one again.
func (s *survey) isDead(n *node) bool {
	for x := n; x.in != nil; x = x.parent() {
		if x.inPlace() {
			continue
		}
		_, mayComeBack := s.went[x]
		if x == n || !mayComeBack || x.in.node.below != x.in {
			return true
		}
	}
	return false
}

// prune drops from the lists of the fold what is in them twice, or dead.
func (f *fold) prune(s *survey) {
	seen := make(map[*node]struct{}, len(f.changes))
	f.changes = slices.DeleteFunc(f.changes, func(n *node) bool {
		_, twice := seen[n]
		seen[n] = struct{}{}
		return twice || s.isDead(n)
	})
	renamed := make(map[renaming]struct{}, len(f.renamed))
	f.renamed = slices.DeleteFunc(f.renamed, func(r renaming) bool {
		_, twice := renamed[r]
		renamed[r] = struct{}{}
		return twice || r.from == nil || s.isDead(r.node)
	})
}

// forgetAbsent forgets the temporary names that were absent.
func (f *fold) forgetAbsent(s *survey) {
	dirs := make(map[*origin]*sweptDir)
	// What is in a directory was noted after the directory, mostly.
	for _, a := range slices.Backward(f.forgotten.looked) {
		if !a.isTemporary() || a.node.path() != a.path {
			continue
		}
		if at := f.paths.find(a.path); at != nil && f.canForget(a.node, at, s) {
			f.forgetName(a.node, at, a.path, dirs)
		}
	}
	for dir, swept := range dirs {
		if dir.isDropped() {
			continue
		}
		dir.edit().below.forgetDropped()
		if l := dir.more.listing; l != nil { // it may have been there as the session listed them
			l.readHash = ""
			l.names = slices.DeleteFunc(l.names, func(typed string) bool { return swept.names[nameOf(typed)] })
		}
	}
	f.paths.release()
}

// A sweptDir is a directory in which a sweep has forgotten names.
type sweptDir struct {
	count int
	names map[string]bool // if it was listed
}

// isTemporary reports whether the session made what was at n, and removed or renamed it.
func (n *node) isTemporary() bool {
	if !n.inPlace() || n.in == nil {
		return false
	}
	past := n.past()
	switch n.status {
	case gone:
		return past.left == nil && (n.seen || past.went != nil)
	case made:
		return n.removed
	}
	return false
}

// canForget reports whether nothing is known of the path at, and needed, but that it was
// absent before the session. Below it there may be names of what has been moved away with
// it.
func (f *fold) canForget(n *node, at *origin, s *survey) bool {
	if up := n.parent().from; up != nil && up != at.parent { // a renamed directory
		return false
	}
	return (n.below == nil || len(n.below.nodes) == 0) && s.isUnneeded(at)
}

// isUnneeded reports whether nothing is known of a path, and of those below it, but that
// they were absent before the session.
func (s *survey) isUnneeded(at *origin) bool {
	_, held := s.held[at]
	m := at.more
	return at.isDropped() || !held && (at.state == events.StateAbsent || at.state == events.StateNone && !at.way && !at.names) &&
		!at.facts.has(^factState) && !at.info.Known() && !at.hashing && !at.written && !at.retold &&
		m.listing == nil && m.doubt == "" && m.target == "" && !slices.ContainsFunc(m.below.list, func(o *origin) bool { return !s.isUnneeded(o) })
}

// forgetName forgets the name at which n is.
func (f *fold) forgetName(n *node, at *origin, path string, dirs map[*origin]*sweptDir) {
	dir := at.parent
	sum := f.forgotten.of(dir)
	sum.count++
	if !isCovered(at) {
		f.forgotten.add(sum, hashName(n.name))
	}
	swept := dirs[dir]
	if swept == nil {
		swept = &sweptDir{}
		if dir.more.listing != nil {
			swept.names = make(map[string]bool)
		}
		dirs[dir] = swept
	}
	if swept.count++; swept.names != nil {
		swept.names[n.name] = true
	}
	delete(n.in.nodes, n.name)
	f.dropPath(at, path, sum)
}

// dropPath forgets a path and those below it, all of them absent. What was forgotten
// there is counted in sum.
func (f *fold) dropPath(at *origin, path string, sum *forgottenNames) {
	for _, o := range at.more.below.list {
		if !o.isDropped() {
			f.dropPath(o, join(path, o.name), sum)
		}
	}
	if own := f.forgotten.names[at]; own != nil {
		sum.count += own.count
		f.forgotten.drop(at)
	}
	delete(f.volatile, path)
	f.accesses.drop(at)
	f.hasher.disown(path)
	delete(f.stirred, at)
	f.paths.drop(at)
}

// isCovered reports whether a directory above o was absent before the session. The
// manifest says so, and then needs to say nothing of what was below.
func isCovered(o *origin) bool {
	for up := o.parent; up != nil; up = up.parent {
		if up.state == events.StateAbsent {
			return true
		}
		if exists(up.state) {
			return false
		}
	}
	return false
}

// noteForgotten is called when something is found at o, of which nothing was known
// before. If its name was forgotten, it is not as it was before the session.
func (f *fold) noteForgotten(o *origin, info *events.FileInfo) {
	sum := f.forgotten.names[o.parent]
	if sum == nil || !sum.has(o.name) || isOlder(info, f.forgotten.begin) {
		return
	}
	f.gaps = append(f.gaps, events.Incomplete{
		Reason: events.ReasonChanged, Detail: o.path() + ": somebody else made it, after the command had made and removed it",
	})
}

// isOlder reports whether a file has been at its path since before begin: any process
// that makes a file, or renames one, sets its change time.
func isOlder(info *events.FileInfo, begin time.Time) bool {
	return info.Known() && info.Ctime < begin.Add(-coarseGranularity).UnixNano()
}

// carryForgotten notes that a directory that had the path from now has the path to: what
// was forgotten in it is absent there, too.
func (f *fold) carryForgotten(from, to *origin) {
	var list []*origin
	for dir := range f.forgotten.names {
		if dir.isWithin(from) {
			list = append(list, dir)
		}
	}
	if len(list) == 0 || to.state == events.StateAbsent || isCovered(to) {
		return
	}
	for _, dir := range list {
		there := f.paths.at(to.path() + dir.path()[len(from.path()):])
		f.forgotten.of(there).merge(f.forgotten.names[dir], &f.forgotten)
	}
}

// isWithin reports whether o is dir or below it.
func (o *origin) isWithin(dir *origin) bool {
	for ; o != nil; o = o.parent {
		if o == dir {
			return true
		}
	}
	return false
}

// died notes that the session has removed a name of a file that it made. If that was the
// last, the kernel will use the inode number again.
func (f *fold) died(info *events.FileInfo) {
	isDir := info.Mode&unix.S_IFMT == unix.S_IFDIR
	if !info.Known() || info.Nlink != 1 && !isDir {
		return
	}
	q := &f.forgotten
	q.dead = append(q.dead, contentOf(info))
	q.isDead[inodeOf(info)] = struct{}{}
	if len(q.dead) < 2*q.keep {
		return
	}
	// What the maps by inode say of it, they say of the files that were there before the
	// session: nobody can find it by the name of one of those any more.
	half := (len(q.dead) + 1) / 2
	var list []content
	for _, c := range q.dead[:half] {
		if _, ok := q.isDead[c.inode]; ok {
			delete(q.isDead, c.inode)
			delete(f.written, c.inode)
			delete(f.retold, c.inode)
			list = append(list, c)
		}
	}
	q.dead = slices.Delete(q.dead, 0, half)
	f.hasher.disownFiles(list)
}
