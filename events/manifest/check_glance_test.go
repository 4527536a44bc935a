package manifest

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"
)

// checkBothWays is check of a manifest, and of its document. The results must be the
// same.
func checkBothWays(m *Manifest, o CheckOptions, fs fileSystem) ([]Difference, error) {
	list, err := check(m, o, fs)
	var doc bytes.Buffer
	if err := m.Encode(&doc); err != nil {
		return nil, err
	}
	list2, err2 := checkDocument(&doc, o, fs)
	if diff := cmp.Diff(list, list2); diff != "" {
		return nil, fmt.Errorf("check of the document differs: %s", diff)
	}
	if fmt.Sprint(err) != fmt.Sprint(err2) {
		return nil, fmt.Errorf("check of the document: %w, not %w", err2, err)
	}
	return list, err
}

// A glanceTree is a tree of files, and a manifest of a command that has read all of it
// and changed some.
type glanceTree struct {
	dir   string
	m     *Manifest
	paths []string
}

func newGlanceTree(t *testing.T, rnd *rand.Rand) *glanceTree {
	t.Helper()
	x := &glanceTree{dir: t.TempDir()}
	x.m = &Manifest{Session: "s", Argv: []string{"true"}, Cwd: x.dir}
	fs := newOSFS()
	var dirs []string
	for i := range 40 {
		sub := filepath.Join(x.dir, fmt.Sprint("d", i%7), strings.Repeat("x", i%3), "caf\u00e9")
		if i%11 == 0 {
			sub += "\n\xff"
		}
		path := filepath.Join(sub, fmt.Sprint("f", i))
		err := os.MkdirAll(sub, 0o755)
		switch {
		case err != nil:
		case i%5 == 0:
			err = os.Symlink("nowhere", path)
		case i%5 != 1:
			err = os.WriteFile(path, fmt.Appendln(nil, i), 0o644)
		}
		if err == nil {
			err = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: 1e9}, {Sec: 1e9}}, unix.AT_SYMLINK_NOFOLLOW)
		}
		if err != nil && !errors.Is(err, unix.ENOENT) {
			t.Fatal(err)
		}
		x.paths = append(x.paths, path)
		for ; sub != filepath.Dir(x.dir); sub = filepath.Dir(sub) {
			dirs = append(dirs, sub)
		}
	}
	slices.Sort(dirs)
	x.paths = append(x.paths, slices.Compact(dirs)...)
	for _, path := range x.paths {
		id, err := fs.identify(path)
		e := newEntry(path, stateOf(&id.FileInfo, err))
		switch e.State {
		case events.StateFile:
			e.Mode, e.Size = permissions(id.Mode), id.Size
			if rnd.IntN(4) > 0 {
				content, err := os.ReadFile(path)
				if err != nil {
					t.Fatal(err)
				}
				e.SHA256 = sumOf(string(content))
			}
			e.Told.Mtime, e.Told.Links = id.Mtime, 1
		case events.StateDir:
			e.Mode, e.Told.Mtime = permissions(id.Mode), id.Mtime
			if rnd.IntN(2) > 0 {
				list, err := fs.readDir(path)
				if err != nil {
					t.Fatal(err)
				}
				sortNames(list.names)
				e.Names, e.Entries = list.names, hashNames(list.names)
			}
		case events.StateSymlink:
			e.Target = "nowhere"
		default:
		}
		switch rnd.IntN(12) {
		case 0:
			out := e
			out.Before = events.StateFile
			if rnd.IntN(2) > 0 {
				e = newEntry(path, events.StateAbsent)
				out.Before = events.StateAbsent
			}
			x.m.Outputs = append(x.m.Outputs, out)
		case 1:
			continue // the patterns left it out
		case 2:
			if e.State == events.StateAbsent {
				x.m.Removed = append(x.m.Removed, path)
				e = newEntry(path, events.StateSymlink)
				e.Target = "gone"
			}
		case 3:
			if e.State == events.StateAbsent {
				x.m.Temporary = append(x.m.Temporary, path)
				continue
			}
		}
		x.m.Inputs = append(x.m.Inputs, e)
	}
	if rnd.IntN(2) > 0 {
		x.m.Forgotten = append(x.m.Forgotten, Forgotten{Dir: filepath.Dir(x.paths[rnd.IntN(40)]), Count: 7, Any: true})
	}
	x.m.sort()
	return x
}

// change changes something in the tree.
func (x *glanceTree) change(t *testing.T, rnd *rand.Rand) {
	t.Helper()
	path := x.paths[rnd.IntN(len(x.paths))]
	var err error
	switch rnd.IntN(7) {
	case 0:
		err = os.RemoveAll(path)
	case 1:
		err = os.Chmod(path, 0o700)
	case 2:
		err = os.WriteFile(path, []byte("y\n"), 0o644)
	case 3:
		err = os.WriteFile(filepath.Join(path, "new"), nil, 0o644)
	case 4:
		err = os.Rename(path, path+"x")
	case 5:
		if err = os.Rename(path, path+"y"); err == nil {
			err = os.Symlink(path+"y", path)
		}
	case 6:
		err = unix.UtimesNanoAt(unix.AT_FDCWD, path, []unix.Timespec{{Sec: 2e9}, {Sec: 2e9}}, unix.AT_SYMLINK_NOFOLLOW)
	}
	var number unix.Errno
	if err != nil && !errors.As(err, &number) {
		t.Fatal(err)
	}
}

// TestGlance: a document is checked as its manifest is, whatever was changed, with and
// without a cache, in all ways.
func TestGlance(t *testing.T) {
	seed := rand.Uint64()
	if testing.Short() {
		seed = 1
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	trees, valid := 40, 0
	if os.Getenv("FSTRACE_STRESS") != "" {
		trees = 1000
	}
	for range trees {
		x := newGlanceTree(t, rnd)
		cache := openTestCache(t, t.TempDir())
		for range 1 + rnd.IntN(3) {
			for _, o := range []CheckOptions{
				{},
				{AsFound: true},
				{Cache: cache},
				{Cache: cache, Times: TimesStrict},
				{Cache: cache, AsFound: true, IgnoreFormerOutputs: true, Times: TimesIgnore},
				{Cache: cache, Root: x.dir},
			} {
				for _, fs := range []fileSystem{newOSFS(), newRememberingFS(newOSFS())} {
					list, err := checkBothWays(x.m, o, fs)
					if err != nil {
						t.Fatal(err)
					}
					if len(list) == 0 {
						valid++
					}
				}
			}
			x.change(t, rnd)
		}
	}
	if valid == 0 {
		t.Error("none was valid")
	}
}
