package manifest

import "strings"

// A tree is the name space as the session has changed it: where each file that
// was there before has gone, and which are new. A renamed directory is moved with
// all that is below it, known or not.
//
// Only directories on the way to something and what the session changes are nodes in
// the tree. For everything else its directory says where it is and what its name was:
// a million files that are just looked at need no nodes.
type tree struct {
	paths *paths
	root  *node
	plain node // the last one that look made up

	// directories are those that were found, by their path: most paths are in the same
	// few. They are forgotten when one of them may stand elsewhere.
	directories map[string]directory
}

// A directory is a path in which others are, and what stands there now.
type directory struct {
	at   *origin
	node *node
}

const mostDirectories = 1 << 10

func newTree(p *paths) *tree {
	return &tree{paths: p, root: &node{from: p.root}, directories: make(map[string]directory)}
}

// find returns an absolute path, and what stands there now, which it puts in the tree
// if it is not there.
func (t *tree) find(path string) (at *origin, n *node) {
	d, name := t.directory(path)
	if name == "" {
		return d.at, d.node
	}
	return t.paths.child(d.at, name), t.child(d.node, name)
}

// look is find for those who mean to change nothing: what is as it was before is not
// put in the tree, and the node good only until the next call. keep puts it there.
func (t *tree) look(path string) (at *origin, n *node) {
	d, name := t.directory(path)
	if name == "" {
		return d.at, d.node
	}
	at = t.paths.child(d.at, name)
	in := d.node.contents()
	if d.node.from == nil || in.nodes[name] != nil {
		return at, t.child(d.node, name)
	}
	from := at
	if d.node.from != d.at {
		from = t.paths.child(d.node.from, name)
	}
	t.plain = node{in: in, name: from.name, from: from}
	return at, &t.plain
}

// keep returns the node in the tree that n is, or becomes.
func (t *tree) keep(n *node) *node {
	if n == &t.plain {
		return t.child(n.in.node, n.name)
	}
	return n
}

// directory finds the directory of a path; name is what comes after, "" of "/".
func (t *tree) directory(path string) (d directory, name string) {
	slash := strings.LastIndexByte(path, '/')
	above, name := path[:slash], path[slash+1:]
	d, ok := t.directories[above]
	if ok {
		return d, name
	}
	d = directory{t.paths.root, t.root}
	t.onWay(d.node)
	for part, rest := cut(above); part != ""; part, rest = cut(rest) {
		d = directory{t.paths.child(d.at, part), t.child(d.node, part)}
		t.onWay(d.node)
	}
	if len(t.directories) == mostDirectories {
		clear(t.directories)
	}
	t.directories[above] = d
	return d, name
}

// onWay notes that a path leads through what stands at n.
func (t *tree) onWay(n *node) {
	if n.from != nil {
		n.from.way = true
		t.stands(n.from, n)
	}
}

// forget is called of a node that is to stand elsewhere, or of which what is below is
// dropped.
func (t *tree) forget(n *node) {
	if n.below != nil {
		clear(t.directories)
	}
}

// child returns n's child of that name, which it makes if it has to.
func (t *tree) child(n *node, name string) *node {
	in := n.contents()
	if c := in.nodes[name]; c != nil {
		return c
	}
	c := &node{in: in}
	if n.from == nil {
		c.name = t.paths.names.keep(name)
	} else {
		o := t.paths.child(n.from, name)
		c.name, c.from = o.name, o
		if o.in == in && o.more.node == nil { // it was touched before there was a node
			o.edit().node = c
		}
	}
	in.put(c)
	return c
}

// stands notes that n is where o was touched.
func (t *tree) stands(o *origin, n *node) {
	o.in = n.in
	if n == &t.plain {
		n = nil
	}
	if o.more.node != n {
		o.edit().node = n
	}
}

// wentTo returns the path of what the session renamed, or of a file below, "" if it
// is nowhere, or was not touched.
func (o *origin) wentTo() string {
	switch n := o.more.node; {
	case n != nil && n.from == o:
		return n.path()
	case n != nil || o.in == nil:
		return ""
	}
	above := o.in.path()
	if above == "" {
		return ""
	}
	return join(above, o.name)
}
