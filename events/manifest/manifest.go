package manifest

import (
	"slices"
	"sort"
	"strings"

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

	// Surroundings are what the command started with; nil if that is not known.
	Surroundings *Surroundings
	// External is what the command may have heard from outside the file system, sorted.
	External []External

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
	Modified  []string    // outputs of which the command had read what was there before
	Removed   []string    // paths that were there before, and are no more
	Temporary []string    // paths that the session made and removed
	Forgotten []Forgotten // what is not in Temporary because there were too many
	Renamed   []Renaming

	// Digest is a SHA-256 of what is compared, but for Temporary, Forgotten and what [Entry.Told]
	// says: the same accesses to the same files have the same. Encode and Decode set it.
	Digest string

	// What explains it.

	Volatile  []string
	Processes []Process
	// ForgottenProcesses counts what is not in Processes because there were too many: programs
	// that ended, and of which Accesses knows nothing.
	ForgottenProcesses int64
	Accesses           []Access
}

// Complete reports whether the manifest has every access of the command.
func (m *Manifest) Complete() bool { return len(m.Incomplete) == 0 }

// unset is a number of an [Entry] that does not matter.
const unset = -1

// An Entry is a path and the state it is in, as far as that matters.
type Entry struct {
	Path  string
	State events.State
	Ops   []events.Op // sorted

	SHA256 string // of a file whose content matters: 64 hexadecimal digits
	Size   int64  // of a file, or -1
	Mtime  int64  // nanoseconds since 1970: of a file that was asked for and not read; or -1
	Mode   uint32 // permission bits of a file or directory
	UID    int64  // owner, where it matters, or -1
	GID    int64  // group, or -1; both are set or none
	Links  int64  // number of names of a file that was written to, or linked; or -1
	Target string // of a symbolic link

	// Error is why an absent path cannot be looked up, if not for ENOENT: "ENOTDIR", a
	// component on its way is no directory; "ELOOP", there are too many symbolic links.
	Error string

	// Of a directory that was listed: Entries is a hash of Names, which are its
	// entries without those that the session made, each behind a letter for its
	// type and a colon.
	Entries string
	Names   []string
	// NotEmpty says of a directory that there was something in it, and that this
	// mattered: rmdir(2) failed.
	NotEmpty bool

	// Shared says of an output that the command was started with it open for writing.
	// Others may go on writing to it: only its first Size bytes matter. Of one that was
	// open for appending, nothing matters.
	Shared bool

	// Told is what the command was told beyond that. [TimesStrict] compares it.
	Told Told

	// Before is what stood at an output's path before the session.
	Before events.State
}

// sortEntries sorts by path. Mostly they are sorted already.
func sortEntries(list []Entry) {
	if !isAscending(list) {
		slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	}
}

// isAscending reports whether entries are sorted and none is there twice.
func isAscending(list []Entry) bool {
	for i := 1; i < len(list); i++ {
		if list[i-1].Path >= list[i].Path {
			return false
		}
	}
	return true
}

// findEntry returns the entry of that path in a sorted list, nil if there is none.
func findEntry(list []Entry, path string) *Entry {
	i := sort.Search(len(list), func(i int) bool { return list[i].Path >= path })
	if i == len(list) || list[i].Path != path {
		return nil
	}
	return &list[i]
}

// isRead reports whether the command read what was at an entry's path: what a file
// held, or the names in a directory.
func (e *Entry) isRead() bool { return e.SHA256 != "" || e.Entries != "" }

// Told is what stat(2) told the command of a path, where an [Entry] does not say so by
// itself: of files that were read as well, of directories and of symbolic links.
type Told struct {
	Mtime int64 // nanoseconds since 1970, or -1
	Links int64 // number of names, or -1
	// UID and GID are the owner of an output that the command made, or -1.
	UID, GID int64
}

// untold is the Told of which nothing matters.
var untold = Told{unset, unset, unset, unset}

// newEntry returns an entry of which nothing matters but the state.
func newEntry(path string, s events.State) Entry {
	return Entry{
		Path: path, State: s, Size: unset, Mtime: unset, UID: unset, GID: unset, Links: unset,
		Told: untold,
	}
}

// Forgotten tells of the paths in one directory that the session made and removed and that
// a manifest does not list, because there were too many. None of them was there before.
type Forgotten struct {
	Dir   string
	Count int64
	// Filter is a Bloom filter of their names (docs/manifest.md). If it is empty and Any is
	// not set, there is nothing to compare: a directory above them was absent before.
	Filter []byte
	// Any says that there was no room for a filter: each name may be one of them.
	Any bool
	// Except are names that were there all the time and are in the filter by chance.
	Except []string
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

// exists reports whether a state says for certain that something was there.
func exists(s events.State) bool {
	return s != events.StateAbsent && s != events.StateUnknown && s != events.StateNone
}
