package manifest

import "github.com/fstrace/fstrace/events"

// An origin is a path, and what stood there before the session. It also has the
// accesses that were made by that path, whatever stood there then.
//
// A build looks up a million paths, most of them once without success, and all are kept
// until the end. So an origin is small (64 bytes): a path is its last component and
// what is above it, and what few origins have is in more.
type origin struct {
	parent *origin // nil of "/"
	name   string

	// state and info are as of the first touch; state is StateNone until then.
	info *events.FileInfo // never nil
	in   *dir             // where it stood when it was last touched; nil of "/"
	more *details         // never nil; edit returns one that may be changed

	accesses uint32 // the number of the last access by this path, from 1
	accessed opSet  // of the accesses by this path
	ops      opSet  // of the accesses that found what was there before the session
	state    events.State
	facts    facts // what the session learned of it; none if it is no input

	known   bool        // it was touched: not just on the way to something, or named
	late    bool        // info is of a moment after the first touch, because the event had none
	hashing bool        // what it holds is wanted
	written bool        // the session opened it for writing, and may have changed what it holds
	retold  bool        // the session changed its attributes, links or name
	dressed bool        // the session changed its attributes
	retimed bool        // the session set its time
	away    bool        // the session may have removed it, or renamed it
	way     bool        // a path leads through it
	names   bool        // the session made or removed a name in it, or tried to
	unfound lookupError // in the end: why it is absent
	stirred bool        // in the end: its times are the session's own doing
}

// details are what few origins have.
type details struct {
	below   children // the paths directly below
	target  string   // of a symbolic link
	listing *listed  // of a directory that was listed
	// node is where it stood when it was last touched, if that is a node in the tree.
	node *node
	// doubt, if not "", says why nobody can report whether this is the session's own.
	doubt string
	sum   *[32]byte // in the end: of what it held
}

// A listed is what was in a directory when the session listed it.
type listed struct {
	names  []string        // in the end: as an Entry has them
	info   events.FileInfo // of the directory when names was read
	unread bool            // it was no longer there when names was to be read
	// notEmpty: in the end, that there is something in it is all that matters.
	notEmpty bool
	late     bool   // it had changed when names was read, after the session listed it
	lateBy   bool   // the same, by its change time, which chmod and renaming it set as well
	alone    bool   // no call of the session had a part in that
	hash     string // in the end: of names
	readHash string // of names as they were read, if they were sorted; "" if not known
}

// What an origin has of which nothing is known. Nobody writes to them.
var (
	noInfo    = events.FileInfo{}
	noDetails = details{}
)

// edit returns o's details to write to.
func (o *origin) edit() *details {
	if o.more == &noDetails {
		o.more = &details{}
	}
	return o.more
}

func (o *origin) isInput() bool { return o.facts != 0 }

// path puts the path together.
func (o *origin) path() string {
	var buf [256]byte
	return string(o.appendPath(buf[:0]))
}

func (o *origin) appendPath(b []byte) []byte {
	if o.parent == nil {
		return append(b, '/')
	}
	if o.parent.parent != nil {
		b = o.parent.appendPath(b)
	}
	return append(append(b, '/'), o.name...)
}

// A pathMaker puts paths together. Most are in the directory of the one before.
type pathMaker struct {
	dir    *origin
	text   []byte // the last path
	prefix int    // how much of it is the directory and a slash
	kept   names
}

// path is o.path. The strings are parts of blocks, which stay as long as one of them
// does.
func (m *pathMaker) path(o *origin) string { return m.kept.keep(m.passing(o)) }

// passing is o.path, good until the next one is made.
func (m *pathMaker) passing(o *origin) string {
	if o.parent == nil {
		return "/"
	}
	if o.parent != m.dir {
		m.dir, m.text = o.parent, o.parent.appendPath(m.text[:0])
		if m.dir.parent != nil {
			m.text = append(m.text, '/')
		}
		m.prefix = len(m.text)
	}
	m.text = append(m.text[:m.prefix], o.name...)
	return textOf(m.text)
}
