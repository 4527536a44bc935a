package manifest

import (
	"strings"

	"github.com/fstrace/fstrace/events"
)

// A tree is the name space as the session has changed it: where each file that
// was there before has gone, and which are new. A renamed directory is moved with
// all that is below it, known or not.
type tree struct{ root *node }

// A node is a path, and what stands there now.
type node struct {
	parent   *node
	name     string
	children map[string]*node

	status status
	// from is the path that this had before the session, "" if it was not there.
	from    string
	left    string           // of a gone one: what from was
	went    *node            // of a gone one: what was moved
	was     *events.FileInfo // of a gone one: of what was here
	movedAt int64            // of a moved one, in nanoseconds since 1970
	seen    bool             // of a made one: that it is there was seen, not only foretold
	// noted: it is in the fold's list of changes.
	noted bool
}

type status uint8

const (
	found status = iota // as the session found it, or below something made
	moved               // it was elsewhere before the session
	made                // the session put it here
	gone                // the session removed it, or moved it away
)

func newTree() *tree { return &tree{root: &node{from: "/"}} }

// find returns the node of an absolute path, which it makes if it has to.
func (t *tree) find(path string) *node {
	n := t.root
	for start := 1; start < len(path); {
		end := strings.IndexByte(path[start:], '/')
		if end < 0 {
			end = len(path)
		} else {
			end += start
		}
		n = n.child(path[start:end], path[:end])
		start = end + 1
	}
	return n
}

// child returns n's child of that name. path is what it is called now: in most
// places that is what it was called before, and one string serves both.
func (n *node) child(name, path string) *node {
	c := n.children[name]
	if c == nil {
		c = &node{parent: n, name: name}
		if n.from != "" {
			c.from = path
			if parentOf(path) != n.from {
				c.from = join(n.from, name)
			}
		}
		if n.children == nil {
			n.children = make(map[string]*node)
		}
		n.children[name] = c
	}
	return c
}

// path is what a node is called now; "" if it is no longer in the tree, because
// something was put over it.
func (n *node) path() string {
	var names []string
	for ; n.parent != nil; n = n.parent {
		if n.parent.children[n.name] != n {
			return ""
		}
		names = append(names, n.name)
	}
	if len(names) == 0 {
		return "/"
	}
	var b strings.Builder
	for i := len(names) - 1; i >= 0; i-- {
		b.WriteByte('/')
		b.WriteString(names[i])
	}
	return b.String()
}

// home returns the path that whatever stood at n's place had before the session, "" if
// there was no such place.
func (n *node) home() string {
	if n.parent == nil || n.parent.from == "" {
		return ""
	}
	return join(n.parent.from, n.name)
}

// replace forgets what was at n, and all below it.
func (n *node) replace(s status, from string) {
	n.status, n.from, n.children, n.seen, n.left, n.went = s, from, nil, false, "", nil
}

// move puts n where to is, and leaves a node behind that is gone.
func (n *node) move(to *node) (rest *node) {
	rest = &node{parent: n.parent, name: n.name, status: gone, left: n.from, went: n}
	n.parent.children[n.name] = rest
	n.parent, n.name = to.parent, to.name
	n.parent.children[n.name] = n
	if n.status == found && n.from != "" {
		n.status = moved
	}
	return rest
}

// comeBack undoes the removal of what was at n, or that it was moved.
func (n *node) comeBack(s status, from string) {
	var children map[string]*node
	if w := n.went; w != nil && w.from == from && (w.status == moved || w.status == made) {
		children = w.children
		w.replace(found, w.home())
	}
	n.replace(s, from)
	n.children = children
	for _, c := range children {
		c.parent = n
	}
}

// exchange puts two nodes at each other's places.
func exchange(a, b *node) {
	a.parent.children[a.name], b.parent.children[b.name] = b, a
	a.parent, b.parent = b.parent, a.parent
	a.name, b.name = b.name, a.name
	for _, n := range []*node{a, b} {
		if n.status == found && n.from != "" {
			n.status = moved
		}
	}
}

// isAbove tells whether n is b or above it.
func (n *node) isAbove(b *node) bool {
	for ; b != nil; b = b.parent {
		if b == n {
			return true
		}
	}
	return false
}

// An origin is what stood at a path before the session.
type origin struct {
	path string
	// state and info are as of the first touch; state is StateNone until then.
	state  events.State
	info   events.FileInfo
	late   bool   // info is of a moment after that, because the event had none
	target string // of a symbolic link

	ops     uint32 // those that make it an input, as bits; none if it is not
	meta    bool   // an input of which size and times matter
	hashing bool   // what it holds is wanted
	node    *node  // where it stood when it was last touched

	appended bool // an input if it turns out to have been appended to

	listing *listed // of a directory that was listed

	// doubt, if not "", says why nobody can tell whether this is the session's own.
	doubt string

	written bool // the session opened it for writing, and may have changed what it holds
	retold  bool // the session changed its attributes, links or name
	away    bool // the session may have removed it, or renamed it
}

// A listed is what was in a directory when the session listed it.
type listed struct {
	names  []string
	info   events.FileInfo // of the directory when names was read
	unread bool            // it was no longer there when names was to be read
	late   bool            // it had changed when names was read, after the session listed it
}

func (o *origin) isInput() bool { return o.ops != 0 }

func opBit(op events.Op) uint32 { return 1 << op }

func opsOf(bits uint32) []events.Op {
	var list []events.Op
	for op := events.Op(1); bits>>op != 0; op++ {
		if bits&opBit(op) != 0 {
			list = append(list, op)
		}
	}
	return list
}

// infoCopy returns a copy of what is known of a file, nil if that is nothing.
func infoCopy(info *events.FileInfo) *events.FileInfo {
	if !info.Known() {
		return nil
	}
	c := *info
	return &c
}
