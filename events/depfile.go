package events

import (
	"errors"
	"io"
	"iter"
	"path"
	"slices"
	"strings"
)

// Depfile is a [Sink] that writes one Makefile rule at the end: its prerequisites are the
// files that the command read (docs/depfile.md). GNU make and ninja can read it.
//
// A record describes calls before their result is known, so in doubt Depfile includes a
// file: an unnecessary prerequisite causes an unnecessary run, a missing one a wrong
// build.
type Depfile struct {
	w       io.Writer
	targets []string
	phony   bool
	cwd     string

	now   uint64 // events so far
	files map[string]*depFile
	read  []*depFile // in order of first access

	// Directories that a rename took from their place, and when last; and that one put in
	// their place. What is below is looked up when it matters: a package manager renames
	// thousands.
	away  map[string]uint64
	moved map[string]struct{}
}

type depFile struct {
	path string
	read bool   // before the command made it: a prerequisite
	made bool   // the command wrote it, or put it there
	gone bool   // the command removed it, or moved it away
	seen uint64 // when it was last certain, or likely, to be there
}

// A DepfileOption is an option of [NewDepfile].
type DepfileOption func(*Depfile)

// PhonyPrerequisites adds an empty rule for each prerequisite, like the -MP option of
// gcc. If a prerequisite no longer exists, make then runs the command, instead of failing
// because no rule makes the file.
func PhonyPrerequisites() DepfileOption {
	return func(d *Depfile) { d.phony = true }
}

// NewDepfile returns a sink that writes the rule for targets to w. Targets are written as
// given; relative ones are relative to the directory of the command. The caller closes w.
func NewDepfile(w io.Writer, targets []string, options ...DepfileOption) *Depfile {
	d := &Depfile{
		w:       w,
		targets: slices.Clone(targets),
		files:   make(map[string]*depFile),
		away:    make(map[string]uint64),
		moved:   make(map[string]struct{}),
	}
	for _, o := range options {
		o(d)
	}
	return d
}

// Begin returns an error if there is no target, or if a target cannot be written in a
// rule, so that the error is known before the command runs.
func (d *Depfile) Begin(h *Header) error {
	d.cwd = h.Cwd
	if len(d.targets) == 0 {
		return errors.New("depfile: no target")
	}
	_, err := appendTargets(nil, d.targets)
	return err
}

// Event collects what e means for the rule.
func (d *Depfile) Event(e *Event) error {
	d.now++
	switch e.Op {
	case OpRead, OpExec:
		if e.State == StateFile {
			d.prerequisite(e.Path)
			d.prerequisite(e.Real)
		}
	case OpWrite:
		d.write(e)
	case OpCreate:
		d.create(e)
	case OpRename:
		d.rename(e)
	case OpDelete:
		if e.State != StateAbsent {
			d.file(e.Path).gone = true
		}
	}
	return nil
}

// End writes the rule. If a prerequisite cannot be written in a rule, it writes nothing
// and returns an error that names the path.
func (d *Depfile) End(*Trailer) error {
	rule, err := appendTargets(nil, d.targets)
	if err != nil {
		return err
	}
	paths := d.prerequisites()
	if rule, err = appendPrerequisites(rule, paths); err != nil {
		return err
	}
	if d.phony {
		rule = appendPhony(rule, paths)
	}
	return writeAll(d.w, rule)
}

// prerequisites returns what the command read and did not make, less the targets and what
// is no longer there.
func (d *Depfile) prerequisites() []string {
	own := make(map[string]bool, len(d.targets))
	for _, t := range d.targets {
		if !path.IsAbs(t) {
			t = d.cwd + "/" + t
		}
		own[path.Clean(t)] = true
	}
	var list []string
	for _, f := range d.read {
		if !own[f.path] && !d.isGone(f) {
			list = append(list, f.path)
		}
	}
	return list
}

func (d *Depfile) file(path string) *depFile {
	f := d.files[path]
	if f == nil {
		f = &depFile{path: path}
		d.files[path] = f
	}
	return f
}

// prerequisite notes that the content of path, a file, was taken in.
func (d *Depfile) prerequisite(path string) {
	if path == "" || isVolatile(path) {
		return
	}
	f := d.file(path)
	f.gone, f.seen = false, d.now // so whatever should have removed it failed
	if f.read || f.made || d.isMoved(path) {
		return
	}
	f.read = true
	d.read = append(d.read, f)
}

// makes notes that the command put what is at path there.
func (d *Depfile) makes(path string) {
	if path != "" {
		f := d.file(path)
		f.made, f.gone, f.seen = true, false, d.now
	}
}

func (d *Depfile) write(e *Event) {
	switch {
	case e.State == StateDir:
		return // EISDIR; with O_TMPFILE, a file that has no name
	case exists(e.State) && e.hasFlag("O_CREAT") && e.hasFlag("O_EXCL"):
		return // EEXIST: the command asked whether it is the first
	case e.State == StateFile && e.hasFlag("O_RDWR") && !e.hasFlag("O_TRUNC"):
		d.prerequisite(e.Path)
		d.prerequisite(e.Real)
	}
	d.makes(e.Path)
	d.makes(e.Real)
}

func (d *Depfile) create(e *Event) {
	switch {
	case e.To == "" && !exists(e.State):
		d.makes(e.Path)
	case e.To != "" && !exists(e.ToState):
		// A hard link is a second name, which the command made, for content that it need
		// not have made.
		if e.State == StateFile {
			d.prerequisite(e.Path)
		}
		d.makes(e.To)
	}
}

func (d *Depfile) rename(e *Event) {
	switch {
	case e.Path == e.To, e.State == StateAbsent:
		return
	case e.hasFlag("RENAME_NOREPLACE") && exists(e.ToState):
		return // EEXIST
	}
	isDir := e.State == StateDir || e.State == StateUnknown
	d.makes(e.To)
	if isDir {
		d.moved[e.To] = struct{}{}
	}
	if e.hasFlag("RENAME_EXCHANGE") {
		d.makes(e.Path)
		d.moved[e.Path] = struct{}{}
		return
	}
	d.file(e.Path).gone = true
	if isDir {
		d.away[e.Path] = d.now
	}
}

// isMoved reports whether path came to its place with a directory around it.
func (d *Depfile) isMoved(path string) bool {
	for dir := range directories(path) {
		if _, ok := d.moved[dir]; ok {
			return true
		}
	}
	return false
}

// isGone reports whether f was removed or moved away, by itself or with a directory
// around it.
func (d *Depfile) isGone(f *depFile) bool {
	for dir := range directories(f.path) {
		if d.away[dir] > f.seen {
			return true
		}
	}
	return f.gone
}

// directories yields the directories that an absolute path is below, but for the root.
func directories(path string) iter.Seq[string] {
	return func(yield func(string) bool) {
		for i := len(path) - 1; i > 0; i-- {
			if path[i] == '/' && !yield(path[:i]) {
				return
			}
		}
	}
}

// isVolatile reports whether path is nothing that a file's time of change says anything
// of.
func isVolatile(path string) bool {
	return path[0] != '/' || isBelow(path, "/proc") || isBelow(path, "/sys") || isBelow(path, "/dev")
}

func isBelow(path, dir string) bool {
	return len(path) > len(dir) && path[len(dir)] == '/' && strings.HasPrefix(path, dir)
}

// exists reports whether a state says for certain that something was there.
func exists(s State) bool {
	return s != StateAbsent && s != StateUnknown && s != StateNone
}

func (e *Event) hasFlag(name string) bool { return slices.Contains(e.Flags, name) }
