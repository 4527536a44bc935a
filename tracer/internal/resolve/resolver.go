package resolve

import (
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// A Base is a directory where a relative path begins.
type Base struct {
	procfs.Place
	// anchor is where it is, if that is not on fstrace's own mounts.
	anchor *anchor
}

// A Result path.
type Result struct {
	Set   bool
	As    string // As the program gave it; "" if it gave a descriptor
	Path  string // absolute, the directory part without symbolic links
	Real  string // what path leads to, if the call follows a link there
	State events.State
	Links []events.Link
	Left  []string        // directories that the path leads through and leaves by ".."
	Ways  []events.Way    // what was looked at on the way
	Info  events.FileInfo // of what state is about, where it was looked at
	// Blocked: the kernel did not get past path, because it is no directory. The call
	// fails, whatever it was to do, and has learned no more than that.
	Blocked  bool
	file     string       // the kernel's name for the end, where that is another
	viaMoved bool         // it leads through a directory that the session removes or renames
	Lost     *procfs.Loss // why the names are not where it is; nil if they are
}

// End returns what the path finally leads to.
func (r *Result) End() string {
	if r.Real != "" {
		return r.Real
	}
	return r.Path
}

// OpenName returns a name by which fstrace can open what the path leads to.
func (r *Result) OpenName() string {
	if r.file != "" {
		return r.file
	}
	return r.End()
}

// A Resolver finds out what paths lead to, as the kernel does, without opening
// anything. It is for one goroutine.
//
// It walks a path component by component with lstat and readlink: the kernel
// could resolve a path in one call, but would not report which symbolic links it
// followed, and a cache must know each of them. Directories once seen to be
// such are remembered (dircache.go), and links and files that were found a moment
// ago (recent_cache.go), so that most paths cost one lstat or none.
type Resolver struct {
	*World
	Now  time.Time // of the call in hand; if zero, nothing is taken from the recent cache
	hand Hand      // nil for none

	// procfs reads of the caller; nil where all paths are the host's.
	procfs *procfs.Reader
	// avoid are the host's mounts that must not be waited for; nil for none.
	avoid *Served
	// Anew: the call in hand may change what its paths lead to. That is looked at, even
	// if it was a moment ago: others may have changed it since.
	NoCache bool
	// unmounts: the call in hand asks no server, and may be made by one.
	unmounts bool
	// told is what the call in hand was told; nil if it has not returned.
	told *Told
	// busy reports whether a walk is in progress: cur and rest say how far it is.
	busy bool

	// Buffers of the walk in progress, kept from call to call.
	cur   []byte // the canonical path so far; "" is the root of all
	rest  []byte // what is still to be walked
	spare []byte // rest's next content, when a link is put before it
	name  []byte // cur, with the prefix and a NUL, for the kernel
	link  [unix.PathMax]byte
	stat  unix.Stat_t
}

// A Hand is called for lookups, which take as long as their file systems need.
type Hand interface {
	procfs.Marker
	// EnterAt is Enter for a look at a canonical path, which may be at a mount that must
	// not be waited for. It reports whether there may be one: not where the file system
	// has failed to answer before.
	EnterAt(s *Served, path []byte) bool
}

// Enter must be called before a system call that may take long, and Leave after it.
func (r *Resolver) Enter() {
	if r.hand != nil {
		r.hand.Enter()
	}
}

// EnterAt is Enter for a look at a canonical path of the host's. It reports whether there
// may be one.
func (r *Resolver) EnterAt(path []byte) bool { return r.enterAt(r.avoid, path) }

func (r *Resolver) enterAt(s *Served, path []byte) bool {
	return r.hand == nil || r.hand.EnterAt(s, path)
}

// Leave must be called after Enter, and after EnterAt if that returned true.
func (r *Resolver) Leave() {
	if r.hand != nil {
		r.hand.Leave()
	}
}

// A Mode says how the last component of a path is looked up.
type Mode uint8

const (
	// Follow: a symbolic link at the end is followed.
	Follow Mode = 1 << iota
	// Entry: the path names an entry to be made, renamed or removed. A slash at the end
	// then does not make the kernel follow a link.
	Entry
)
