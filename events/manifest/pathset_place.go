package manifest

import (
	"path"
	"slices"
	"strings"
)

// A Place is a directory that may be elsewhere on another machine, or in another
// checkout. Dir must be absolute and without symbolic links.
type Place struct{ Name, Dir string }

// Places give paths a form that does not depend on where the directories are:
// "//NAME/rest" is rest below the place of that name. Every other path is its own form.
// If it begins with "//", which the target of a symbolic link may do, the form has two
// more slashes in front.
type Places []Place

const placeMark = "//"

// Form returns the form of an absolute path, or of any other string.
func (l Places) Form(s string) string {
	if strings.HasPrefix(s, placeMark) {
		return placeMark + s
	}
	for _, q := range l {
		if isWithin(s, q.Dir) {
			return placeMark + q.Name + s[len(strings.TrimSuffix(q.Dir, "/")):]
		}
	}
	return s
}

// Path returns the path of a form, and reports whether its place is in the list.
func (l Places) Path(form string) (string, bool) {
	s, ok := strings.CutPrefix(form, placeMark)
	if !ok {
		return form, true
	}
	name, rest, _ := strings.Cut(s, "/")
	if name == "" {
		return s, true
	}
	i := slices.IndexFunc(l, func(q Place) bool { return q.Name == name })
	if i < 0 {
		return "", false
	}
	return path.Join(l[i].Dir, rest), true
}

// forms returns the form of an absolute path. For a path that is above a place, or in a
// directory above one, it also returns the form relative to that place. What is in "/" is
// the same from everywhere.
func (l Places) forms(abs string) (at, above string) {
	at = l.Form(abs)
	if at != abs {
		return at, ""
	}
	for _, q := range l {
		dir, name := abs, ""
		if !isWithin(q.Dir, dir) {
			dir, name = parentOf(abs), "/"+baseOf(abs)
		}
		if isWithin(q.Dir, dir) && (name == "" || dir != "/") {
			up := strings.Repeat("/..", strings.Count(q.Dir[len(strings.TrimSuffix(dir, "/")):], "/"))
			return at, placeMark + q.Name + up + name
		}
	}
	return at, ""
}

// isAbove reports whether a place is below abs.
func (l Places) isAbove(abs string) bool {
	return slices.ContainsFunc(l, func(q Place) bool { return abs != q.Dir && isWithin(q.Dir, abs) })
}

// absolute returns the path of a question, whose form is valid.
func (p *PathSet) absolute(form string) string {
	s, _ := p.places.Path(form)
	return s
}
