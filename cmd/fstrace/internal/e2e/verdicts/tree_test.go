package verdicts

import (
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// A node is a file of a tree, of any type: all of it that a program can ask for and
// that can be restored.
type node struct {
	Type    byte // 'f' file, 'd' directory, 'l' symbolic link, 'p' FIFO, 's' socket
	Mode    uint32
	UID     int
	Mtime   int64  // in nanoseconds
	Content string // or the target of a link
	Group   string // the names of a file with several, joined by spaces
}

// A tree is what is below a directory, by path; the directory itself is ".".
type tree map[string]node

// Times that a tree is given. Programs print a later one only as "new".
var (
	pristineTime = time.Date(2020, 1, 1, 0, 0, 0, 123456789, time.UTC).UnixNano()
	leftTime     = time.Date(2021, 1, 1, 0, 0, 0, 123456789, time.UTC).UnixNano()
	mutatedTime  = time.Date(2022, 1, 1, 0, 0, 0, 123456789, time.UTC).UnixNano()
	newTime      = time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC).UnixNano()
)

// snapshot reads the tree at dir.
func snapshot(dir string) (tree, error) {
	t, inodes := tree{}, map[uint64][]string{}
	err := filepath.WalkDir(dir, func(name string, _ fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, name)
		if err != nil {
			return err
		}
		n := node{Mode: st.Mode & 0o7777, UID: int(st.Uid), Mtime: st.Mtim.Nano()}
		switch st.Mode & unix.S_IFMT {
		case unix.S_IFDIR:
			n.Type = 'd'
		case unix.S_IFLNK:
			n.Type = 'l'
			n.Content, err = os.Readlink(name)
		case unix.S_IFIFO:
			n.Type = 'p'
		case unix.S_IFSOCK:
			n.Type = 's'
		case unix.S_IFREG:
			n.Type = 'f'
			var b []byte
			b, err = os.ReadFile(name)
			n.Content = string(b)
		default:
			err = fmt.Errorf("%s: a file of type %o", name, st.Mode&unix.S_IFMT)
		}
		if n.Type != 'd' && st.Nlink > 1 {
			inodes[st.Ino] = append(inodes[st.Ino], rel)
		}
		t[rel] = n
		return err
	})
	for _, names := range inodes {
		if len(names) < 2 {
			continue
		}
		slices.Sort(names)
		for _, name := range names {
			n := t[name]
			n.Group = strings.Join(names, " ")
			t[name] = n
		}
	}
	return t, err
}

// restore makes dir hold the tree and nothing else.
func (t tree) restore(dir string) error {
	// A child that is forked while a file is open for writing holds it open until its
	// own exec: executing the file would fail.
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, d := range list {
		if err := os.RemoveAll(filepath.Join(dir, d.Name())); err != nil {
			return err
		}
	}
	names := t.paths()
	for _, name := range names {
		if err := t.make(dir, name); err != nil {
			return err
		}
	}
	// From the bottom up: to make a file changes the time of its directory.
	slices.Reverse(names)
	for _, name := range names {
		if err := t[name].dress(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (t tree) make(dir, name string) error {
	n, file := t[name], filepath.Join(dir, name)
	first, _, _ := strings.Cut(n.Group, " ")
	switch {
	case name == ".":
		return nil
	case n.Group != "" && first != name:
		return os.Link(filepath.Join(dir, first), file)
	case n.Type == 'd':
		return os.Mkdir(file, 0o700)
	case n.Type == 'l':
		return os.Symlink(n.Content, file)
	case n.Type == 'p':
		return unix.Mkfifo(file, 0o600)
	}
	return os.WriteFile(file, []byte(n.Content), 0o600)
}

// dress gives a file its owner, mode and time.
func (n node) dress(file string) error {
	if err := os.Lchown(file, n.UID, n.UID); err != nil {
		return err
	}
	if n.Type != 'l' {
		if err := unix.Chmod(file, n.Mode); err != nil {
			return &fs.PathError{Op: "chmod", Path: file, Err: err}
		}
	}
	return setTime(file, n.Mtime)
}

func setTime(file string, ns int64) error {
	ts := []unix.Timespec{unix.NsecToTimespec(ns), unix.NsecToTimespec(ns)}
	return unix.UtimesNanoAt(unix.AT_FDCWD, file, ts, unix.AT_SYMLINK_NOFOLLOW)
}

func (t tree) paths() []string { return slices.Sorted(maps.Keys(t)) }

// aged returns the tree with each time that a run has set replaced by another, which
// programs may print.
func (t tree) aged(ns int64) tree {
	old := maps.Clone(t)
	for name, n := range old {
		if n.Mtime >= newTime {
			n.Mtime = ns
			old[name] = n
		}
	}
	return old
}

// drop returns the tree without a path and what is below it, with the groups of links
// that then are.
func (t tree) drop(name string) tree {
	rest := tree{}
	for p, n := range t {
		if p != name && !strings.HasPrefix(p, name+"/") {
			rest[p] = n
		}
	}
	rest.regroup()
	return rest
}

// regroup takes names that are not there out of the groups.
func (t tree) regroup() {
	for p, n := range t {
		if n.Group == "" {
			continue
		}
		names := slices.DeleteFunc(strings.Fields(n.Group), func(name string) bool { return t[name].Type == 0 })
		n.Group = ""
		if len(names) > 1 {
			n.Group = strings.Join(names, " ")
		}
		t[p] = n
	}
}

// facets are what two states of a path are compared by.
var facets = []struct {
	name string
	of   func(n node) string
}{
	{"type", func(n node) string { return string(n.Type) }},
	{"mode", func(n node) string { return fmt.Sprintf("%o", n.Mode) }},
	{"content", func(n node) string { return n.Content }},
	{"links", func(n node) string { return n.Group }},
	{"owner", func(n node) string { return fmt.Sprint(n.UID) }},
}

// sameNode compares two states by all but times, and by the owner only if that counts.
func sameNode(a, b node, owner bool) bool {
	for _, f := range facets {
		if f.of(a) != f.of(b) && (owner || f.name != "owner") {
			return false
		}
	}
	return true
}

// union returns the paths of several trees, sorted.
func union(trees ...tree) []string {
	all := tree{}
	for _, t := range trees {
		maps.Copy(all, t)
	}
	return all.paths()
}

func (n node) String() string {
	if n.Type == 0 {
		return "absent"
	}
	s := fmt.Sprintf("%c %04o uid=%d %q", n.Type, n.Mode, n.UID, n.Content)
	if n.Group != "" {
		s += " links=" + strings.ReplaceAll(n.Group, " ", ",")
	}
	return s
}

// parent returns the path of the directory that a path is in.
func parent(name string) string { return path.Dir(name) }
