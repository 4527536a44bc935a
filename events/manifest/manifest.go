package manifest

import (
	"slices"
	"sort"
	"strings"

	"github.com/fstrace/fstrace/events"
)

// Version is the version of the document. It changes when a reader of the previous
// version would misread the document.
const Version = 1

// A Manifest says what a command depends on and what it left behind. Its methods may be
// called concurrently as long as nobody changes it.
type Manifest struct {
	Session string   // its id, a UUIDv7
	Argv    []string // of the command
	Cwd     string   // absolute
	Exit    events.Exit

	// Surroundings are what the command started with; nil if not known.
	Surroundings *Surroundings
	// External lists the sources outside the file system that the command may have used,
	// sorted.
	External []External

	// Root, if not empty, is the directory below which paths in the document are relative
	// to it. In memory all paths are absolute.
	Root string
	// Only and Ignore are the patterns that selected what is in the manifest.
	Only, Ignore []string
	// Record is the file to which the manifest was written. Listings do not contain it.
	Record string

	Incomplete []events.Incomplete

	// The part that is compared. It is sorted by path, and has nothing that differs
	// between runs with the same accesses.

	Inputs    []Entry
	Outputs   []Entry
	Modified  []string    // outputs whose old content the command had read
	Removed   []string    // paths that existed before and are absent now
	Temporary []string    // paths that the session created and removed
	Forgotten []Forgotten // a summary of further temporary paths
	Renamed   []Renaming

	// Digest is a SHA-256 of Inputs, Outputs and Removed, without [Entry.Told] and
	// without Names, of which Entries is a hash. The same accesses to the same files have
	// the same digest. Encode and Decode set it.
	Digest string

	// The part that explains it.

	Volatile  []string
	Processes []Process
	// ForgottenProcesses is the number of programs that are not in Processes because
	// there were too many. They have ended and have no entry in Accesses.
	ForgottenProcesses int64
	Accesses           []Access
}

// Complete reports whether the manifest has every access of the command and its
// descendants.
func (m *Manifest) Complete() bool { return len(m.Incomplete) == 0 }

// unset is a number of an [Entry] that does not matter.
const unset = -1

// An Entry is a path and the part of its state that matters. Numbers that do not matter
// are -1, strings are empty.
type Entry struct {
	Path  string
	State events.State
	Ops   []events.Op // sorted

	SHA256 string // of a file whose content matters, in 64 hexadecimal digits
	Size   int64  // of a file, in bytes
	Mtime  int64  // of a file on which the command called stat and that it did not read: ns since 1970
	Mode   uint32 // permission bits of a file or directory
	UID    int64  // owner, if it matters
	GID    int64  // group; set if UID is
	Links  int64  // number of names of a file that was written to or linked
	Target string // content of a symbolic link

	// Error says why the lookup of an absent path fails, if not with ENOENT: "ENOTDIR" or
	// "ELOOP".
	Error string

	// Names are the entries of a directory that was listed, without those that the
	// session created. Each has a prefix for its type: "f:", "d:", "l:" or "o:". Entries
	// is a hash of them.
	Entries string
	Names   []string
	// NotEmpty means that a directory was not empty and that this mattered, because
	// rmdir(2) failed.
	NotEmpty bool

	// Shared means that the command inherited an output open for writing. Other processes
	// may continue to write to it, so only the first Size bytes are compared. An output
	// that was open for appending is not compared.
	Shared bool

	// Told is what else stat(2) returned to the command. Only [TimesStrict] compares it.
	Told Told

	// Before is the state of an output's path before the session.
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

// Told is what stat(2) returned to the command and what the [Entry] does not have: for
// files that were also read, for directories and for symbolic links.
type Told struct {
	Mtime int64 // nanoseconds since 1970, or -1
	Links int64 // number of names, or -1
	// UID and GID are the owner of an output that the command created, or -1.
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

// A Forgotten is a summary of paths in one directory that the session created and
// removed, and that the manifest does not list because there were too many. All of them
// were absent before.
type Forgotten struct {
	Dir   string // absolute
	Count int64  // of the paths
	// Filter is a Bloom filter of their names (docs/manifest.md). If it is empty and Any
	// is false, there is nothing to compare, because a directory above them was absent
	// before.
	Filter []byte
	// Any means that there was no space for a filter: every name may be one of them.
	Any bool
	// Except are names that existed all the time and that the filter contains by chance.
	Except []string
}

// A Renaming is a file or directory that existed before and has another name now. Both
// paths are absolute.
type Renaming struct{ From, To string }

// A Process is a program that a process ran. A process that calls exec has several, in
// order.
type Process struct {
	PID, PPID int
	// From is the index of the program that forked or executed this one; -1 for the
	// command itself.
	From int
	Exe  string
	Argv []string
	Cwd  string
	Exit *events.Exit // only for the last program of a process
}

// An Access is the first access of a kind to a path.
type Access struct {
	Path    string // absolute
	Op      events.Op
	State   events.State // of Path when the call was about to run
	Process int          // index into Processes, -1 if not known
	Syscall string
	As      string // the string that the program passed, if it differs from Path
	Links   []events.Link
}

// exists reports whether a state says for certain that something was there.
func exists(s events.State) bool {
	return s != events.StateAbsent && s != events.StateUnknown && s != events.StateNone
}
