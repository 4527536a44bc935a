package manifest

import "github.com/fstrace/fstrace/events"

// A node is a name in the tree, and what stands there now.
type node struct {
	in   *dir // nil of "/", and of that only
	name string

	// from is the path that this had before the session, nil if it was not there.
	from   *origin
	below  *dir    // nil if there is nothing below in the tree
	change *change // nil of most; edit returns one that may be changed

	status status
	seen   bool // of a made one: that it is there was seen, not only predicted
	noted  bool // it is in the fold's list of changes
	listed bool // of a made one: the session listed it
	linked bool // of a made one: it is another name of a file
	// removed: of a made one: a directory that the session then removed, or tried to.
	removed bool
	attempt attempt

	// pid and tid are of the last call that was predicted to change what is here.
	pid, tid int32
}

// An attempt is what is known of the last call that was to put something at a node, or to
// take it away.
type attempt uint8

const (
	predicted attempt = iota // nothing but that it was made
	failed                   // it is over, and has not done so
	// tried: it has not done so, but may still be running, or somebody else undid it.
	// What is there from now on is not predicted.
	tried
)

// A dir has the nodes in a directory. It stays the same if the directory gets another
// name, and is dropped with all that is in it if something is put over it.
type dir struct {
	node  *node
	nodes map[string]*node
}

// A change is what only some nodes have.
type change struct {
	left    *origin          // of a gone one: what from was
	went    *node            // of a gone one: what was moved
	was     *events.FileInfo // of a gone one: of what was here
	movedAt int64            // of a moved one, in nanoseconds since 1970
	// exchanged: RENAME_EXCHANGE has put this here, or what was here before is still
	// here.
	exchanged bool
	// unmoved: of a gone one: where what was here should have gone, and was not found. So
	// it should be here.
	unmoved string
	// over: of a gone one: what the session had put where what was here went.
	over *node
}

type status uint8

const (
	found status = iota // as the session found it, or below something made
	moved               // it was elsewhere before the session
	made                // the session put it here
	gone                // the session removed it, or moved it away
)

// contents returns n's dir.
func (n *node) contents() *dir {
	if n.below == nil {
		n.below = &dir{node: n}
	}
	return n.below
}

func (d *dir) put(n *node) {
	if d.nodes == nil {
		d.nodes = make(map[string]*node)
	}
	d.nodes[n.name] = n
}

// parent is the directory that n is in, nil of "/".
func (n *node) parent() *node {
	if n.in == nil {
		return nil
	}
	return n.in.node
}

// edit returns n's change to write to.
func (n *node) edit() *change {
	if n.change == nil {
		n.change = &change{}
	}
	return n.change
}

// past is n's change to read.
func (n *node) past() change {
	if n.change == nil {
		return change{}
	}
	return *n.change
}

// path is what a node is called now; "" if it is no longer in the tree, because
// something was put over it.
func (n *node) path() string {
	if n.in == nil {
		return "/"
	}
	above := n.in.path()
	if above == "" || n.in.nodes[n.name] != n {
		return ""
	}
	return join(above, n.name)
}

// path is that of the directory, "" if it is no longer in the tree.
func (d *dir) path() string {
	if d.node.below != d {
		return ""
	}
	return d.node.path()
}

// adopt takes in what the session was predicted to put into a directory before it was
// predicted to make the directory: of two calls at once, either may be told of first.
func (n *node) adopt(below *dir) {
	for _, c := range below.nodes {
		if c.status == made {
			c.in = n.contents()
			c.in.put(c)
		}
	}
}

// home returns the path that whatever stood at n's place had before the session, nil if
// there was no such place.
func (t *tree) home(n *node) *origin {
	if n.in == nil || n.parent().from == nil {
		return nil
	}
	return t.paths.child(n.parent().from, n.name)
}

// replace forgets what was at n, and all below it.
func (t *tree) replace(n *node, s status, from *origin) {
	t.forget(n)
	n.status, n.from, n.below, n.seen, n.listed, n.linked, n.removed = s, from, nil, false, false, false, false
	if n.change != nil {
		n.change.left, n.change.went, n.change.exchanged, n.change.unmoved, n.change.over = nil, nil, false, "", nil
	}
}

// move puts n where to is, and leaves a node behind that is gone.
func (t *tree) move(n, to *node) (rest *node) {
	t.forget(n)
	t.forget(to)
	rest = &node{in: n.in, name: n.name, status: gone, pid: n.pid, tid: n.tid}
	rest.change = &change{left: n.from, went: n}
	if to.status != found {
		rest.change.over = to
	}
	n.in.put(rest)
	n.in, n.name = to.in, to.name
	n.in.put(n)
	n.setMoved()
	return rest
}

func (n *node) setMoved() {
	if n.status == found && n.from != nil {
		n.status = moved
	}
}

// comeBack undoes the removal of what was at n, or that it was moved. If n is by now in
// the directory that was moved, that was no mistake, and this is something else.
func (t *tree) comeBack(n *node, s status, from *origin) {
	var below *dir
	if w := n.past().went; w != nil && w.from == from && (w.status == moved || w.status == made) && !w.isAbove(n) {
		below = w.below
		t.replace(w, found, t.home(w))
		if o := n.past().over; o != nil && o.in == w.in && o.name == w.name {
			w.status, w.from, w.seen, w.listed, w.linked, w.removed = o.status, o.from, o.seen, o.listed, o.linked, o.removed
			w.attempt = max(w.attempt, o.attempt)
			if w.change = o.change; o.below != nil {
				w.below, o.below.node = o.below, w
			}
		}
	}
	t.replace(n, s, from)
	if n.below = below; below != nil {
		below.node = n
	}
}

// exchange puts two nodes at each other's places.
func (t *tree) exchange(a, b *node) {
	a.in, b.in = b.in, a.in
	a.name, b.name = b.name, a.name
	for _, n := range []*node{a, b} {
		t.forget(n)
		n.in.put(n)
		n.setMoved()
	}
}

// isAbove reports whether n is b or above it.
func (n *node) isAbove(b *node) bool {
	for ; b != nil; b = b.parent() {
		if b == n {
			return true
		}
	}
	return false
}
