package manifest

import (
	"fmt"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// check compares the manifest with the truth.
func (m *model) check(got *Manifest) (problems []string) {
	wrong := func(format string, args ...any) { problems = append(problems, fmt.Sprintf(format, args...)) }
	if !got.Complete() {
		// By another name, what the session does may look like somebody else's doing, and
		// that something was refused may show too late.
		if !m.links && !m.refused {
			wrong("incomplete: %v", got.Incomplete)
		}
		return problems
	}
	m.arrive()
	final := m.now()
	inputs, outputs, removed := map[string]*Entry{}, map[string]*Entry{}, map[string]bool{}
	for i := range got.Inputs {
		e := &got.Inputs[i]
		inputs[e.Path] = e
		if why := differsFrom(e, m.initial); why != "" {
			wrong("input %s: %s", e.Path, why)
		}
	}
	for path, w := range m.wanted {
		if _, ok := m.initial[path]; !ok && inputs[path] == nil && saysAbsent(got, path) {
			continue
		}
		if why := lacks(inputs[path], w, m.initial[path]); why != "" {
			wrong("input %s: %s", path, why)
		}
	}
	for i := range got.Outputs {
		e := &got.Outputs[i]
		outputs[e.Path] = e
		if why := differsFrom(e, final); why != "" {
			wrong("output %s: %s", e.Path, why)
		}
		if was, ok := m.initial[e.Path]; ok != exists(e.Before) || ok && e.Before != stateOf(&was.info, nil) {
			wrong("output %s: before it was %s", e.Path, e.Before)
		}
	}
	for path, is := range final {
		was, ok := m.initial[path]
		if same := ok && is.content == was.content && is.info.Mode == was.info.Mode; !same && outputs[path] == nil && !(m.links && m.wanted[path] == 0) {
			wrong("%s changed and is no output", path)
		}
	}
	for _, path := range got.Removed {
		removed[path] = true
		if _, ok := final[path]; ok {
			wrong("removed %s: it is there", path)
		}
		if _, ok := m.initial[path]; !ok {
			wrong("removed %s: it was not there", path)
		}
	}
	for path := range m.initial {
		if _, ok := final[path]; ok {
			continue
		}
		for up := path; !removed[up]; up = parentOf(up) {
			if up == "/" {
				wrong("%s is gone and not said to be removed", path)
				break
			}
		}
	}
	for _, path := range got.Temporary {
		_, before := m.initial[path]
		if _, after := final[path]; before || after {
			wrong("temporary %s: there before %v, after %v", path, before, after)
		}
	}
	if list, err := checkBothWays(got, CheckOptions{}, m.fs); err != nil || len(list) > 0 {
		wrong("check: %v %v", list, err)
	}
	problems = append(problems, m.checkStale(got, inputs, outputs)...)
	slices.Sort(problems)
	return problems
}

// checkStale changes each file that the session took in and left alone: the manifest
// must be stale then.
func (m *model) checkStale(got *Manifest, inputs, outputs map[string]*Entry) (problems []string) {
	for path, w := range m.wanted {
		x := m.fs.files[path]
		if x == nil || w&wantContent == 0 || outputs[path] != nil || m.initial[path].content != x.content {
			continue
		}
		was := *x
		x.content, x.info.Mtime = strings.ToUpper(x.content), x.info.Mtime+1
		if list, err := checkBothWays(got, CheckOptions{}, m.fs); err != nil || len(list) == 0 {
			problems = append(problems, fmt.Sprintf("%s changed, and the manifest is valid (%v)", path, err))
		}
		*x = was
	}
	return problems
}

// differsFrom returns what is wrong in an entry.
func differsFrom(e *Entry, files map[string]fakeFile) string {
	x, ok := files[e.Path]
	if !ok {
		if e.State != events.StateAbsent {
			return "there is none"
		}
		return ""
	}
	s := stateOf(&x.info, nil)
	var names []string
	for path, y := range files {
		if path != "/" && parentOf(path) == e.Path {
			names = append(names, typedName(stateOf(&y.info, nil), baseOf(path)))
		}
	}
	sortNames(names)
	switch {
	case e.State != s:
		return fmt.Sprintf("is %s, not %s", s, e.State)
	case e.SHA256 != "" && e.SHA256 != sumOf(x.content):
		return fmt.Sprintf("another content than %q", x.content)
	case e.Size != unset && e.Size != x.info.Size, e.Mtime != unset && e.Mtime != x.info.Mtime:
		return "another size or time"
	case s == events.StateSymlink && e.Target != x.content:
		return fmt.Sprintf("leads to %q, not to %q", x.content, e.Target)
	case (s == events.StateFile || s == events.StateDir) && e.Mode != permissions(x.info.Mode):
		return fmt.Sprintf("has mode %o, not %o", permissions(x.info.Mode), e.Mode)
	case e.Entries != "" && !slices.Equal(names, e.Names):
		return fmt.Sprintf("has the names %v, not %v", names, e.Names)
	}
	return ""
}

// lacks returns what is missing in an input.
func lacks(e *Entry, w want, was fakeFile) string {
	switch {
	case e == nil:
		return "missing"
	case w&wantContent != 0 && e.SHA256 == "" && was.info.Mode&unix.S_IFMT == unix.S_IFREG:
		return "without content"
	case w&wantTimes != 0 && e.SHA256 == "" && e.Mtime == unset:
		return "without times"
	case w&wantNames != 0 && e.Entries == "":
		return "without names"
	}
	return ""
}

// saysAbsent reports whether a manifest says that nothing was at path, without an input
// of that name: because the session made and removed something there, or as it says so of
// a directory above.
func saysAbsent(got *Manifest, path string) bool {
	for ; path != "/"; path = parentOf(path) {
		if slices.Contains(got.Temporary, path) {
			return true
		}
		for i := range got.Forgotten {
			if t := &got.Forgotten[i]; t.Dir == parentOf(path) && t.has(baseOf(path)) {
				return true
			}
		}
		isAbsent := func(e Entry) bool { return e.Path == path && e.State == events.StateAbsent }
		wasAbsent := func(e Entry) bool { return e.Path == path && e.Before == events.StateAbsent }
		if slices.ContainsFunc(got.Inputs, isAbsent) || slices.ContainsFunc(got.Outputs, wasAbsent) {
			return true
		}
	}
	return false
}
