package verdicts

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// draw draws trees, programs and mutations. The alphabet of names is small, so that
// what they do collides.
type draw struct{ *rand.Rand }

var drawnPaths = []string{
	"a", "b", "c", "d", "a/a", "a/b", "b/a", "b/b", "c/a", "d/a", "a/a/a", "a/a/b", "b/b/a", "d/a/c",
}

func pick[T any](d draw, from ...T) T { return from[d.IntN(len(from))] }

func (d draw) chance(percent int) bool { return d.IntN(100) < percent }

const (
	rootUID   = 0
	nobodyUID = 65534
	otherUID  = 65533
)

const drawnScript = "#!/bin/sh\necho script %s\n"

// tree draws a tree. For a user without privileges it has other users' files in it.
func (d draw) tree(uid int) tree {
	t := tree{".": {Type: 'd', Mode: 0o755, UID: uid, Mtime: pristineTime}}
	if uid != rootUID && d.chance(10) {
		t["."] = node{Type: 'd', Mode: pick[uint32](d, 0o555, 0o1777), UID: pick(d, uid, rootUID), Mtime: pristineTime}
	}
	for i, name := range drawnPaths {
		if t[parent(name)].Type != 'd' || d.chance(35) {
			continue
		}
		n := node{UID: uid, Mtime: pristineTime + int64(i)*1e9}
		if uid != rootUID && d.chance(25) {
			n.UID = pick(d, rootUID, otherUID)
		}
		switch k := d.IntN(10); {
		case k < 4:
			n.Type, n.Mode = 'd', 0o755
			if d.chance(20) {
				n.Mode = pick[uint32](d, 0o700, 0o555, 0o711, 0o777, 0o1777, 0o000)
			}
		case k < 6:
			n.Type, n.Mode, n.Content = 'l', 0o777, d.target(name)
		case k < 7:
			var files []string
			for _, p := range t.paths() {
				if t[p].Type == 'f' {
					files = append(files, p)
				}
			}
			if len(files) > 0 {
				t.link(pick(d, files...), name)
				continue
			}
			fallthrough
		default:
			n.Type, n.Mode, n.Content = 'f', 0o644, "was "+name+"\n"
			switch d.IntN(8) {
			case 0:
				n.Mode, n.Content = 0o755, fmt.Sprintf(drawnScript, name)
			case 1:
				n.Mode = pick[uint32](d, 0o600, 0o444, 0o755, 0o000, 0o666)
			case 2:
				n.Content = ""
			}
		}
		t[name] = n
	}
	return t
}

// link gives a file one more name.
func (t tree) link(name, more string) {
	n := t[name]
	names := append(strings.Fields(n.Group), more)
	if n.Group == "" {
		names = append(names, name)
	}
	slices.Sort(names)
	n.Group = strings.Join(names, " ")
	for _, name := range names {
		t[name] = n
	}
}

// target draws what a link at a path leads to. It seldom leads out of the tree: what
// is there is not restored, but removed.
func (d draw) target(name string) string {
	list := []string{"a", "b", "c", "d", "a/a", "b/b", "nowhere", ".", "b/a"}
	if strings.Contains(name, "/") || d.chance(5) {
		list = append(list, "../a", "../b", "../c", "..")
	}
	return pick(d, list...)
}

// path draws a path that a program uses: more often than not one of the tree's.
func (d draw) path(t tree) string {
	switch k := d.IntN(20); {
	case k < 11:
		if names := t.paths(); len(names) > 1 {
			return pick(d, names...)
		}
	case k < 12:
		return pick(d, drawnPaths...) + "/"
	case k < 13:
		return pick(d, drawnPaths...) + "/../" + pick(d, drawnPaths...)
	case k < 14:
		return pick(d, drawnPaths...) + "/" + pick(d, "a", "b", "c")
	}
	return pick(d, drawnPaths...)
}

// ops draws the operations of the program in testdata/verdict. With told, it prints
// what only a check of all times promises anything for: times, owners, link counts.
func (d draw) ops(t tree, told bool) []string {
	n := 1 + d.IntN(7)
	var list []string
	for range n {
		if len(list) > 0 && d.chance(15) {
			list = append(list, fmt.Sprintf("%s,%d", pick(d, "if", "else", "if", "else", "fork"), 1+d.IntN(2)))
		}
		list = append(list, d.op(t, told))
	}
	return list
}

func (d draw) op(t tree, told bool) string {
	p, q := d.path(t), d.path(t)
	switch d.IntN(34) {
	case 0, 1, 2:
		return pick(d, "read", "read", "readnf", "dir") + "," + p
	case 3, 4:
		return pick(d, "append", "appendc", "write", "writec") + "," + p + "," + pick(d, "new\n", "")
	case 5, 6:
		return pick(d, "trunc", "truncc", "truncc", "excl", "excl") + "," + p + "," + pick(d, "new\n", "new\n", "")
	case 7:
		return pick(d, "rdwr", "rdwrc") + "," + p + "," + pick(d, "new\n", "")
	case 8, 9, 10:
		kinds := []string{"e", "e", "es", "em", "esm", "s", "m"}
		if told {
			kinds = append(kinds, "et", "eo", "en", "esmton", "t", "n")
		}
		return pick(d, "stat", "lstat", "stat", "path") + "," + p + "," + pick(d, kinds...)
	case 11:
		if told {
			return "same," + p + "," + q
		}
		return "readlink," + p
	case 12, 13:
		return "access," + p + "," + pick(d, "0", "0", "1", "2", "4")
	case 14:
		return "readlink," + p
	case 15, 16, 17:
		return pick(d, "list", "list", "listtypes") + "," + p
	case 18:
		return "chdir," + p
	case 19, 20:
		return "mkdir," + p + "," + pick(d, "755", "755", "700")
	case 21:
		return "rmdir," + p
	case 22, 23:
		return "unlink," + p
	case 24, 25, 26:
		return pick(d, "rename", "rename", "rename", "renamenew", "swap") + "," + p + "," + q
	case 27:
		return pick(d, "link", "link", "linkfollow") + "," + p + "," + q
	case 28:
		return "symlink," + d.target(p) + "," + p
	case 29:
		return "chmod," + p + "," + pick(d, "755", "644", "600", "0", "700")
	case 30:
		switch d.IntN(3) {
		case 0:
			return "chown," + p + "," + pick(d, "0", "65533", "65534")
		case 1:
			return "utimes," + p
		}
		return "truncate," + p + "," + pick(d, "0", "2", "20")
	case 31, 32:
		return "copy," + p + "," + q
	}
	return "run," + p
}

// mutation draws a change, of a path that the program names or of any.
func (d draw) mutation(t tree, named []string) mutation {
	var m mutation
	m.Path = pick(d, drawnPaths...)
	if names := t.paths(); d.chance(50) && len(names) > 1 {
		m.Path = pick(d, names[1:]...)
	} else if len(named) > 0 && d.chance(60) {
		m.Path = pick(d, named...)
	}
	switch {
	case d.chance(2):
		m.Path, m.Kind = ".", pick(d, "chmod", "chown", "touch")
	case t[m.Path].Type == 0:
		m.Kind = pick(d, "create", "create", "create", "mkdir", "mkdir", "symlink", "link")
	default:
		m.Kind = pick(d, "edit", "edit", "edit", "append", "rewrite", "chmod", "chmod", "chown", "remove", "remove",
			"rename", "todir", "tolink", "tofile", "aside", "touch")
	}
	switch m.Kind {
	case "append", "rewrite", "create", "tofile":
		m.Arg = pick(d, "changed\n", "changed\n", "new\n", "")
	case "chmod":
		m.Arg = pick(d, "755", "644", "600", "0", "444", "777", "700")
	case "chown":
		m.Arg = pick(d, "0", "65533", "65534")
	case "symlink", "tolink":
		m.Arg = d.target(m.Path)
	case "link", "rename", "aside":
		m.Arg = pick(d, drawnPaths...)
		if names := t.paths(); d.chance(40) && len(names) > 1 {
			m.Arg = pick(d, names[1:]...)
		}
	}
	m.Quiet = d.chance(30)
	return m
}
