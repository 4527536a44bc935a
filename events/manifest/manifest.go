package manifest

import (
	"github.com/fstrace/fstrace/events"
)

// Version is the version of the document. It changes when what docs/manifest.md
// says of it is no longer true.
const Version = 1

// A Manifest is what a command depends on and what it left behind.
type Manifest struct {
	Session string
	Argv    []string
	Cwd     string
	Exit    events.Exit

	// Root, if not empty, is the directory below which paths are written relative
	// to it. In memory all paths are absolute.
	Root string
	// Only and Ignore are the patterns that chose what is in the manifest.
	Only, Ignore []string
	// Record is the file that the manifest was written to: no listing counts it.
	Record string

	Incomplete []events.Incomplete

	// What is compared: sorted by path, without anything that differs from one
	// run to the next.

	Inputs    []Entry
	Outputs   []Entry
	Modified  []string // paths that are inputs and outputs
	Removed   []string // paths that were there before, and are no more
	Temporary []string // paths that the session made and removed
	Renamed   []Renaming

	// What explains it.

	Volatile  []string
	Processes []Process
	Accesses  []Access
}

// Complete tells whether the manifest has every access of the command.
func (m *Manifest) Complete() bool { return len(m.Incomplete) == 0 }

// unset is the Size and Mtime of an Entry of which they do not matter.
const unset = -1

// An Entry is a path and the state it is in, as far as that matters.
type Entry struct {
	Path  string
	State events.State
	Ops   []events.Op // sorted

	SHA256 string // of a file whose content matters: 64 hexadecimal digits
	Size   int64  // of a file, or unset
	Mtime  int64  // of a file whose times were asked for and its content was not read; or unset
	Mode   uint32 // permission bits of a file or directory
	Target string // of a symbolic link

	// Of a directory that was listed: Entries is a hash of Names, which are its
	// entries without those that the session made, each behind a letter for its
	// type and a colon.
	Entries string
	Names   []string

	// Before is what stood at an output's path before the session.
	Before events.State
}

// A Renaming is a file or directory that was there before and has a new name.
type Renaming struct{ From, To string }

// A Process is a program that a process ran: a process that executes another has
// several, one after the other.
type Process struct {
	PID, PPID int
	// From is the index of the program that forked it or executed it; -1 for the
	// command itself.
	From int
	Exe  string
	Argv []string
	Cwd  string
	Exit *events.Exit // with the last program of a process
}

// An Access is the first access of a kind to a path.
type Access struct {
	Path    string
	Op      events.Op
	State   events.State
	Process int // index into Processes, -1 if it is not known
	Syscall string
	As      string // the string that the program gave, where it is not Path
	Links   []events.Link
}

// exists tells whether a state says for certain that something was there.
func exists(s events.State) bool {
	return s != events.StateAbsent && s != events.StateUnknown && s != events.StateNone
}
