package manifest

import (
	"strings"

	"github.com/fstrace/fstrace/events"
)

// facts is a set of things that an operation can learn of what stands at a path. An
// entry of a manifest has a value for each fact of its path, and Check compares those.
type facts uint8

const (
	// factState: whether something is there, of which type, and its permission bits.
	// Every operation learns it.
	factState facts = 1 << iota
	// factOwner: the user and the group that own it. With the permission bits they
	// decide what an unprivileged user may do.
	factOwner
	// factStat: what stat(2) returns: size, time of modification, owner, number of links.
	factStat
	// factContent: what a regular file holds.
	factContent
	// factTarget: what a symbolic link holds.
	factTarget
	// factNames: the names in a directory, and their types.
	factNames
	// factEmpty: whether there is anything in a directory.
	factEmpty
	// factLinks: the number of names of a file: a write through one changes all.
	factLinks
)

func (f facts) has(g facts) bool { return f&g != 0 }

var factWords = [...]string{"state", "owner", "stat", "content", "target", "names", "empty", "links"}

// String lists the facts as docs/semantics.md does.
func (f facts) String() string {
	var words []string
	for i, word := range factWords {
		if f.has(1 << i) {
			words = append(words, word)
		}
	}
	return strings.Join(words, ", ")
}

// A rule is a row of the table of semantics: what an operation on a path learns of the
// state before it, and what it makes of the state after it. What it learns is the same
// whether it succeeds or fails: its result is a function of these facts, and of
// nothing else that a manifest records. docs/semantics.md is generated from it.
type rule struct {
	operation string
	calls     string

	// What it learns, by what stands at the path. A zero set means that the operation
	// does not come to such a path.
	file, dir, symlink, absent facts
	// parent: it makes or removes a name, and so depends on the directory that the path
	// is in: whether there is one, its permission bits and its owner.
	parent bool
	// does is what it makes of the state after, if it succeeds.
	does effects
	// after says that in words.
	after string
}

const (
	permission = factState | factOwner
	told       = factState | factStat | factOwner
)

// The rows. Each path component before the last is a ruleWay or a ruleLink.
var (
	ruleWay = rule{
		operation: "pass through", calls: "each directory on the way of any path",
		file: factState, dir: permission, absent: factState,
		after: "unchanged",
	}
	ruleLink = rule{
		operation: "follow", calls: "each symbolic link on the way of any path",
		symlink: factState | factTarget,
		after:   "unchanged",
	}
	ruleRead = rule{
		operation: "read", calls: "open, openat, openat2 with `O_RDONLY`; a descriptor that the command inherited for reading",
		file: permission | factContent, dir: permission, symlink: factState | factTarget, absent: factState,
		after: "unchanged",
	}
	ruleExec = rule{
		operation: "execute", calls: "execve, execveat, uselib; the kernel opening an interpreter",
		file: permission | factContent, dir: permission, symlink: factState | factTarget, absent: factState,
		after: "unchanged",
	}
	ruleEdit = rule{
		operation: "edit", calls: "open for writing without `O_TRUNC`; truncate, ftruncate, fallocate; a descriptor inherited with `O_RDWR`",
		file: permission | factContent | factLinks, dir: permission, symlink: factState | factTarget, absent: factState,
		does:  effects{file: writes},
		after: "the same file with other content",
	}
	ruleInherited = rule{
		operation: "inherit", calls: "a descriptor that the command was started with, for writing only",
		does:  effects{file: writes},
		after: "the same file, written to: the caller asked for this output",
	}
	ruleReplace = rule{
		operation: "overwrite", calls: "open with `O_TRUNC`, creat",
		file: permission | factLinks, dir: permission, symlink: factState | factTarget, absent: factState, parent: true,
		does:  effects{file: writes, absent: makes},
		after: "a file with other content; mode, owner and names are kept if it existed",
	}
	ruleMake = rule{
		operation: "create", calls: "open with `O_CREAT` and `O_EXCL`, mkdir, mknod, symlink, bind; link: the new name",
		file: factState, dir: factState, symlink: factState, absent: factState, parent: true,
		does:  effects{absent: makes},
		after: "a new object, if the path was absent",
	}
	ruleStat = rule{
		operation: "stat", calls: "stat, lstat, newfstatat, statx; open with `O_PATH`",
		file: told, dir: told, symlink: told | factTarget, absent: factState,
		after: "unchanged",
	}
	ruleAccess = rule{
		operation: "ask", calls: "access, faccessat, faccessat2; chdir, chroot; open of a directory; statfs, getxattr and similar; inotify_add_watch; every other call that names a path",
		file: permission, dir: permission, symlink: factState | factTarget, absent: factState,
		after: "unchanged",
	}
	ruleList = rule{
		operation: "list", calls: "getdents, getdents64, readdir",
		file: factState, dir: permission | factNames, symlink: factState, absent: factState,
		after: "unchanged",
	}
	ruleUnlink = rule{
		operation: "unlink", calls: "unlink, unlinkat",
		file: permission, dir: permission, symlink: permission, absent: factState, parent: true,
		does:  effects{file: removes, symlink: removes},
		after: "nothing",
	}
	ruleRmdir = rule{
		operation: "rmdir", calls: "rmdir, unlinkat with `AT_REMOVEDIR`",
		file: permission, dir: permission | factEmpty, symlink: permission, absent: factState, parent: true,
		does:  effects{dir: removes},
		after: "nothing, if it was empty",
	}
	ruleRenameFrom = rule{
		operation: "rename from", calls: "rename, renameat, renameat2: the old name; both names with `RENAME_EXCHANGE`",
		file: permission | factContent, dir: permission | factNames, symlink: permission | factTarget, absent: factState, parent: true,
		does:  effects{file: moves, dir: moves, symlink: moves},
		after: "nothing. The content of a directory moves with it, and each path in it learns the same facts",
	}
	ruleRenameTo = rule{
		operation: "rename to", calls: "rename, renameat, renameat2: the new name",
		file: permission, dir: permission | factEmpty, symlink: permission, absent: factState, parent: true,
		does:  effects{file: replaces, dir: replaces, symlink: replaces, absent: replaces},
		after: "the object that had the old name",
	}
	ruleRenameSame = rule{
		operation: "rename to itself", calls: "rename, renameat, renameat2, if both names are the same or are names of one file",
		file: permission | factLinks, dir: permission, symlink: permission | factTarget, absent: factState,
		after: "unchanged",
	}
	ruleLinkFrom = rule{
		operation: "link from", calls: "link, linkat: the old name",
		file: permission | factContent, dir: factState, symlink: factState | factTarget, absent: factState,
		does:  effects{file: links, symlink: links},
		after: "the same, with one more name",
	}
	ruleAttributes = rule{
		operation: "set attributes", calls: "chmod, chown, utimensat and similar; setxattr and similar; ioctl that sets flags",
		file: permission | factLinks, dir: permission, symlink: permission | factTarget, absent: factState,
		does:  effects{file: dresses, dir: dresses, symlink: dresses},
		after: "the same, with another mode, owner or time",
	}
)

// table is the rows in the order of docs/semantics.md.
var table = []*rule{
	&ruleWay, &ruleLink, &ruleStat, &ruleAccess, &ruleRead, &ruleExec, &ruleList,
	&ruleMake, &ruleReplace, &ruleEdit, &ruleInherited, &ruleAttributes, &ruleLinkFrom,
	&ruleRenameFrom, &ruleRenameTo, &ruleRenameSame, &ruleUnlink, &ruleRmdir,
}

// learns returns what a rule learns of a path at which s stands.
func (r *rule) learns(s events.State) facts {
	switch s {
	case events.StateFile:
		return r.file
	case events.StateDir:
		return r.dir
	case events.StateSymlink:
		return r.symlink
	}
	return factState // absent or unknown
}

// ruleOf returns the row of an event's first path.
func ruleOf(e *events.Event) *rule {
	switch e.Op {
	case events.OpRead:
		return &ruleRead
	case events.OpExec:
		return &ruleExec
	case events.OpList:
		return &ruleList
	case events.OpWrite:
		return writeRule(e)
	case events.OpCreate:
		if e.To != "" {
			return &ruleLinkFrom
		}
		return &ruleMake
	case events.OpDelete:
		if removesDir(e) {
			return &ruleRmdir
		}
		return &ruleUnlink
	case events.OpRename:
		return &ruleRenameFrom
	case events.OpChattr:
		return &ruleAttributes
	case events.OpStat:
		if tellsStat[e.Syscall] || hasFlag(e, "O_PATH") { // fstat(2) of what was opened so is no event
			return &ruleStat
		}
	}
	return &ruleAccess
}

// writeRule returns the row of a call that opens a file for writing, makes it by
// opening, or changes its size.
func writeRule(e *events.Event) *rule {
	switch {
	case e.Syscall == "" && !hasFlag(e, "O_RDWR"):
		return &ruleInherited
	case creates(e) && hasFlag(e, "O_EXCL"):
		return &ruleMake
	case e.State == events.StateAbsent && creates(e), e.State != events.StateAbsent && !keepsContent(e):
		return &ruleReplace
	}
	return &ruleEdit
}

// toRule returns the row of an event's second path.
func toRule(e *events.Event) *rule {
	switch {
	case e.Op == events.OpRename && hasFlag(e, "RENAME_EXCHANGE"):
		return &ruleRenameFrom
	case e.Op == events.OpRename:
		return &ruleRenameTo
	case e.Op == events.OpCreate:
		return &ruleMake
	}
	return &ruleAccess
}

func creates(e *events.Event) bool { return hasFlag(e, "O_CREAT") || e.Syscall == "creat" }

func removesDir(e *events.Event) bool { return e.Syscall == "rmdir" || hasFlag(e, "AT_REMOVEDIR") }

// keepsContent reports whether a file that e opens for writing holds, afterwards,
// something of what it held.
func keepsContent(e *events.Event) bool {
	return e.Syscall != "creat" && !hasFlag(e, "O_TRUNC")
}

// tellsStat has the calls by which a program learns a file's size and times. A program
// that only asks for them may decide by them that the file is unchanged: make does, and
// Python before it takes a module from its cache. The other calls of OpStat learn
// existence, type and permissions.
var tellsStat = map[string]bool{
	"stat": true, "lstat": true, "oldstat": true, "oldlstat": true, "stat64": true, "lstat64": true,
	"newfstatat": true, "fstatat64": true, "statx": true,
}

// setsTimes has the calls of OpChattr that set a file's time of modification.
var setsTimes = map[string]bool{
	"utime": true, "utimes": true, "futimesat": true, "utimensat": true, "utimensat_time64": true,
}
