package cache

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
	"golang.org/x/sys/unix"
)

// A RestoreError says why a result could not be restored completely. Each output is as it
// was or as it should be.
type RestoreError struct{ Err error }

// Error returns the cause.
func (e *RestoreError) Error() string {
	return "the result was not restored completely: " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *RestoreError) Unwrap() error { return e.Err }

// restore makes everything as the command would leave it, and writes its output. It has
// changed nothing if it returns an error that is no *RestoreError.
func (c *Cache) restore(ctx context.Context, t *Task, x *hit) (*Outcome, error) {
	text, err := c.read(ctx, x.effectsBlob)
	if err != nil {
		return nil, err
	}
	if err := x.parseEffects(&c.Options, text); err != nil {
		return nil, err
	}
	for _, form := range x.Free {
		path, ok := c.Places.Path(string(form))
		if _, err := os.Lstat(path); !ok || err == nil {
			return nil, fmt.Errorf("%s, where the command had a temporary file, exists: %w", events.Quote(path), ErrNotFound)
		}
	}
	output := make(map[stream]io.Reader)
	for s, d := range x.output {
		if err := copyBlob(c.disk, d, io.Discard); err != nil {
			return nil, err
		}
		f, err := c.disk.open(d)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		output[s] = f
	}
	plan, err := c.plan(x.result)
	if err != nil {
		return nil, err
	}
	defer plan.close()
	if err := plan.stage(c.disk); err != nil {
		return nil, err
	}
	if err := plan.apply(); err != nil {
		return nil, &RestoreError{err}
	}
	to := map[stream]io.Writer{stdout: t.Stdout, stderr: t.Stderr}
	if err := replay(x.Log, output, to); err != nil {
		return nil, &RestoreError{err}
	}
	return &Outcome{Hit: true, Remote: x.remote, Exit: events.Exit{Code: x.exit}, Duration: time.Duration(x.Duration)}, nil
}

// A plan is what has to be done for a result. What is right already is not in it.
type plan struct {
	*result
	store *Disk
	files []*staged
	links []linkOutput
	modes []attributes // of files that have the right content
	dirs  []attributes // in the order of their paths
	touch []string
}

// A staged is a file to be written.
type staged struct {
	*fileOutput
	file *os.File // with the content; nil if that is copied later
	temp string   // its name, "" if it has none yet
}

// wrong returns the outputs that are not as the command left them, and how they differ.
func (c *Cache) wrong(x *result) (map[string][]manifest.Reason, error) {
	m := &manifest.Manifest{}
	for _, f := range x.files {
		e := entry(f.path, events.StateFile)
		e.SHA256, e.Size, e.Mode = f.digest.Hash, f.digest.Size, f.mode
		m.Inputs = append(m.Inputs, e)
	}
	for _, l := range x.links {
		e := entry(l.path, events.StateSymlink)
		e.Target = l.target
		m.Inputs = append(m.Inputs, e)
	}
	for _, d := range x.Dirs {
		e := entry(d.Path, events.StateDir)
		e.Mode = d.Mode
		m.Inputs = append(m.Inputs, e)
	}
	slices.SortFunc(m.Inputs, func(a, b manifest.Entry) int { return strings.Compare(a.Path, b.Path) })
	list, err := manifest.Check(m, manifest.CheckOptions{AsFound: true, Cache: c.Hashes})
	if err != nil {
		return nil, err
	}
	wrong := make(map[string][]manifest.Reason, len(list))
	for i := range list {
		wrong[list[i].Path] = append(wrong[list[i].Path], list[i].Reason)
	}
	return wrong, nil
}

// entry returns an entry of which only the state matters.
func entry(path string, s events.State) manifest.Entry {
	return manifest.Entry{
		Path: path, State: s, Size: -1, Mtime: -1, UID: -1, GID: -1, Links: -1,
		Told: manifest.Told{Mtime: -1, Links: -1, UID: -1, GID: -1},
	}
}

func (c *Cache) plan(x *result) (*plan, error) {
	wrong, err := c.wrong(x)
	if err != nil {
		return nil, err
	}
	p := &plan{result: x, store: c.disk}
	for i := range x.files {
		f := &x.files[i]
		switch reasons := wrong[f.path]; {
		case len(reasons) > 0 && isDir(f.path):
			return nil, fmt.Errorf("%s: is a directory", f.path)
		case hasOtherNames(f.path): // the command's file has one
			p.files = append(p.files, &staged{fileOutput: f})
		case len(reasons) == 1 && reasons[0] == manifest.ModeChanged:
			p.modes = append(p.modes, attributes{Path: f.path, Mode: f.mode})
		case len(reasons) > 0:
			p.files = append(p.files, &staged{fileOutput: f})
		case c.Touch && f.mtime.IsZero():
			p.touch = append(p.touch, f.path)
		}
	}
	for _, l := range x.links {
		switch isWrong := len(wrong[l.path]) > 0; {
		case isWrong && isDir(l.path):
			return nil, fmt.Errorf("%s: is a directory", l.path)
		case isWrong:
			p.links = append(p.links, l)
		}
	}
	for _, d := range x.Dirs {
		switch reasons := wrong[d.Path]; {
		case slices.Contains(reasons, manifest.TypeChanged):
			return nil, fmt.Errorf("%s: is not a directory", d.Path)
		case len(reasons) > 0:
			p.dirs = append(p.dirs, d)
		}
	}
	slices.SortFunc(p.dirs, func(a, b attributes) int { return strings.Compare(a.Path, b.Path) })
	p.modes = append(p.modes, x.Changed...)
	return p, nil
}

// hasOtherNames reports whether a file has several hard links.
func hasOtherNames(path string) bool {
	var st unix.Stat_t
	return unix.Lstat(path, &st) == nil && st.Nlink > 1
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

func (p *plan) close() {
	for _, s := range p.files {
		s.close()
	}
}

// mostStaged is how many files are prepared before the first one is replaced. Of more,
// the content is verified before.
const mostStaged = 256

// stage reads all content and verifies it, so that nothing is missing halfway.
func (p *plan) stage(store *Disk) error {
	for i, s := range p.files {
		var err error
		if i < mostStaged {
			err = s.stage(store)
		} else {
			err = copyBlob(store, s.digest, io.Discard)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// copyBlob copies a blob and verifies it. A wrong one is removed from the store.
func copyBlob(store *Disk, d Digest, to io.Writer) error {
	r, err := store.open(d)
	if err != nil {
		return err
	}
	defer r.Close()
	_, err = io.Copy(to, verify(r, d))
	if errors.Is(err, errWrongBlob) {
		store.drop(d)
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

// apply makes everything as it is to be. Each step leaves the old or the new of a path.
func (p *plan) apply() error {
	for _, d := range p.dirs {
		if err := makeDir(d.Path); err != nil {
			return err
		}
	}
	for _, s := range p.files {
		if err := s.commit(p.store); err != nil {
			return err
		}
	}
	for _, l := range p.links {
		if err := makeLink(l); err != nil {
			return err
		}
	}
	for _, path := range p.Removed {
		if err := remove(path); err != nil {
			return err
		}
	}
	now := time.Now()
	for _, path := range p.touch {
		if err := os.Chtimes(path, time.Time{}, now); err != nil {
			return err
		}
	}
	for _, a := range p.modes {
		if err := setAttributes(a, now); err != nil {
			return err
		}
	}
	for _, d := range slices.Backward(p.dirs) { // a directory may be read-only
		if err := os.Chmod(d.Path, modeOf(d.Mode)); err != nil {
			return err
		}
	}
	return nil
}

// makeDir makes a directory that may be written to for now.
func makeDir(path string) error {
	err := os.Mkdir(path, 0o700)
	if errors.Is(err, fs.ErrExist) {
		if info, e := os.Lstat(path); e == nil && info.IsDir() {
			return nil
		}
	}
	return err
}

// remove removes what is at a path, with everything below it. It does not follow symbolic
// links: the directory that had this name may be one now.
func remove(path string) error {
	parent, err := unix.Openat2(unix.AT_FDCWD, filepath.Dir(path), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_DIRECTORY | unix.O_CLOEXEC, Resolve: unix.RESOLVE_NO_SYMLINKS,
	})
	switch {
	case errors.Is(err, unix.ENOENT), errors.Is(err, unix.ENOTDIR), errors.Is(err, unix.ELOOP):
		return nil
	case err != nil:
		return &os.PathError{Op: "open", Path: filepath.Dir(path), Err: err}
	}
	dir := os.NewFile(uintptr(parent), filepath.Dir(path))
	defer dir.Close()
	root, err := os.OpenRoot("/proc/self/fd/" + strconv.Itoa(parent))
	if err != nil {
		return err
	}
	defer root.Close()
	return root.RemoveAll(filepath.Base(path))
}

// makeLink makes a symbolic link in place of what is there.
func makeLink(l linkOutput) error {
	temp := tempName(filepath.Dir(l.path))
	if err := os.Symlink(l.target, temp); err != nil {
		return err
	}
	return renameOver(temp, l.path)
}

// renameOver renames a file, and removes it if that fails.
func renameOver(temp, path string) error {
	err := os.Rename(temp, path)
	if err != nil {
		_ = os.Remove(temp)
	}
	return err
}

// setAttributes sets the mode, and the time, of what is at a path.
func setAttributes(a attributes, now time.Time) error {
	info, err := os.Lstat(a.Path)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSymlink != 0 {
		return fmt.Errorf("%s: is a symbolic link", a.Path)
	}
	if info.Mode() != info.Mode()&fs.ModeType|modeOf(a.Mode) {
		if err := os.Chmod(a.Path, modeOf(a.Mode)); err != nil {
			return err
		}
	}
	if a.Now {
		return os.Chtimes(a.Path, time.Time{}, now)
	}
	return nil
}

// modeOf returns the permission bits as package os has them.
func modeOf(mode uint32) fs.FileMode {
	m := fs.FileMode(mode & 0o777)
	for _, bit := range [...]struct {
		unix uint32
		os   fs.FileMode
	}{{0o4000, fs.ModeSetuid}, {0o2000, fs.ModeSetgid}, {0o1000, fs.ModeSticky}} {
		if mode&bit.unix != 0 {
			m |= bit.os
		}
	}
	return m
}
