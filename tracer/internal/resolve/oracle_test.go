package resolve

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// The oracles are the kernel itself, which resolves the path in one call, and a
// walk that opens one component after the other and lets the kernel say where it
// is: slow, and with nothing in common with the resolver's own.

// onlySteps ends a path whose last component must be a directory.
var onlySteps = regexp.MustCompile(`(/|/\.)+$`)

// A slowWalk resolves a path by descriptors.
type slowWalk struct {
	fd     int
	out    Result
	errno  unix.Errno
	inLink bool // the path's end is a link, and out.path is set
}

func openPath(dir int, name string, flags int) (int, unix.Errno) {
	fd, err := unix.Openat(dir, name, unix.O_PATH|unix.O_CLOEXEC|flags, 0)
	if err != nil {
		return -1, err.(unix.Errno)
	}
	return fd, 0
}

// fdPath is where the kernel says that a descriptor is.
func fdPath(t *rapid.T, fd int) string {
	t.Helper()
	path, err := os.Readlink(fmt.Sprintf("/proc/self/fd/%d", fd))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

func fdState(t *rapid.T, fd int) (events.State, uint32) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		t.Fatal(err)
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		return events.StateFile, st.Mode
	case unix.S_IFDIR:
		return events.StateDir, st.Mode
	case unix.S_IFLNK:
		return events.StateSymlink, st.Mode
	}
	return events.StateOther, st.Mode
}

// resolveSlowly walks from base, or from the root.
func resolveSlowly(t *rapid.T, base, path string, follow bool) (Result, unix.Errno) {
	w := slowWalk{fd: -1}
	if strings.HasPrefix(path, "/") {
		base = "/"
	}
	w.enter(t, unix.AT_FDCWD, base)
	defer func() { unix.Close(w.fd) }()
	w.walk(t, path, follow || onlySteps.MatchString(path))
	return w.out, w.errno
}

func (w *slowWalk) enter(t *rapid.T, dir int, name string) {
	fd, errno := openPath(dir, name, unix.O_NOFOLLOW)
	if errno != 0 {
		t.Fatalf("open %s: %v", name, errno)
	}
	if w.fd >= 0 {
		unix.Close(w.fd)
	}
	w.fd = fd
}

func (w *slowWalk) walk(t *rapid.T, path string, follow bool) {
	todo := split(path)
	for i := 0; i < len(todo); i++ {
		name, rest := todo[i], todo[i+1:]
		atEnd := len(onlyNames(rest)) == 0
		here := strings.TrimSuffix(fdPath(t, w.fd), "/")
		fd, errno := openPath(w.fd, name, unix.O_NOFOLLOW)
		if errno != 0 {
			w.missing(t, here, name, rest, errno)
			return
		}
		state, _ := fdState(t, fd)
		if state != events.StateSymlink {
			unix.Close(w.fd)
			w.fd = fd
			if atEnd {
				break
			}
			continue
		}
		where, target := here+"/"+name, make([]byte, unix.PathMax)
		n, err := unix.Readlinkat(fd, "", target)
		unix.Close(fd)
		switch {
		case err != nil:
			t.Fatal(err)
		case atEnd && !follow:
			w.finish(where, events.StateSymlink)
			return
		case len(w.out.Links) == maxLinks:
			w.errno = unix.ELOOP
			w.finish("", events.StateAbsent)
			return
		}
		to := string(target[:n])
		w.out.Links = append(w.out.Links, events.Link{Path: where, Target: to})
		if atEnd && !w.inLink {
			w.out.Path, w.inLink = where, true
		}
		if to[0] == '/' {
			w.enter(t, unix.AT_FDCWD, "/")
		}
		todo, i = append(split(to), rest...), -1
	}
	state, _ := fdState(t, w.fd)
	w.finish(fdPath(t, w.fd), state)
}

func split(path string) []string {
	return slices.DeleteFunc(strings.Split(path, "/"), func(s string) bool { return s == "" })
}

func onlyNames(list []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return s == "." })
}

// missing ends a walk at what is not there, or is no directory.
func (w *slowWalk) missing(t *rapid.T, here, name string, rest []string, errno unix.Errno) {
	if errno != unix.ENOENT && errno != unix.ENOTDIR {
		t.Fatalf("open %s in %s: %v", name, here, errno)
	}
	w.errno = errno
	left := onlyNames(append([]string{name}, rest...))
	i := slices.Index(left, "..")
	switch {
	case i < 0:
		w.finish(here+"/"+strings.Join(left, "/"), events.StateAbsent)
	case errno == unix.ENOTDIR: // the file that it failed at is there
		state, _ := fdState(t, w.fd)
		w.finish(here, state)
	default: // nobody can say where the rest would lead
		w.finish(here+"/"+name, events.StateAbsent)
	}
}

func (w *slowWalk) finish(path string, state events.State) {
	if w.inLink {
		w.out.Real = path
	} else {
		w.out.Path = path
	}
	w.out.State = state
}

// An entry of a random tree, and a random path in it.

var (
	treeName = rapid.SampledFrom([]string{"a", "b", "c", "\xff"})
	treeStep = rapid.SampledFrom([]string{"a", "b", "c", "\xff", "..", ".", "", "a", "b"})
)

func treePath(t *rapid.T, dir, what string) string {
	path := strings.Join(rapid.SliceOfN(treeStep, 1, 6).Draw(t, what), "/")
	switch rapid.IntRange(0, 7).Draw(t, "form") {
	case 0:
		path = dir + "/" + path
	case 1:
		path += "/"
	case 2:
		path += "/."
	case 3:
		path = dir + "/" + path + "//"
	}
	if path == "" {
		return "."
	}
	return path
}

// growTree makes a random tree of directories, files and symbolic links. What cannot
// be made is left out.
func growTree(t *rapid.T, dir string) {
	for range rapid.IntRange(1, 25).Draw(t, "entries") {
		path := dir + "/" + strings.Join(rapid.SliceOfN(treeName, 1, 3).Draw(t, "entry"), "/")
		switch rapid.IntRange(0, 4).Draw(t, "kind") {
		case 0, 1:
			_ = unix.Mkdir(path, 0o755)
		case 2:
			_ = unix.Mknod(path, unix.S_IFREG|0o644, 0)
		case 3, 4:
			_ = unix.Symlink(treePath(t, dir, "target"), path)
		}
	}
}

// inRandomTrees calls f with many trees, each in a directory of its own.
func inRandomTrees(t *testing.T, f func(t *rapid.T, dir string)) {
	top, n := harness.TempTree(t), 0
	for range 2 {
		rapid.Check(t, func(t *rapid.T) {
			n++
			dir := fmt.Sprintf("%s/%d", top, n)
			if err := os.Mkdir(dir, 0o755); err != nil {
				t.Fatal(err)
			}
			defer os.RemoveAll(dir)
			growTree(t, dir)
			f(t, dir)
		})
	}
}

// TestResolveLikeKernel compares random paths in random trees with both oracles,
// with a resolver that knows nothing, one that has walked the tree, and one that is
// at the very path for the second time.
func TestResolveLikeKernel(t *testing.T) {
	inRandomTrees(t, func(t *rapid.T, dir string) {
		warm := ForHost()
		for range 10 {
			path := treePath(t, dir, "path")
			follow := rapid.Bool().Draw(t, "follow")
			base := dir
			if sub := dir + "/" + treeName.Draw(t, "base"); isDir(sub) {
				base = sub
			}
			for _, r := range []*Resolver{ForHost(), warm, warm} {
				compareWalks(t, r, base, path, follow)
			}
		}
	})
}

func isDir(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.IsDir()
}

func compareWalks(t *rapid.T, r *Resolver, base, path string, follow bool) {
	t.Helper()
	got := r.Resolve(hostView(), under(base), []byte(path), modeIf(follow))
	want, errno := resolveSlowly(t, base, path, follow)
	name := fmt.Sprintf("%q from %s, follow %v", path, base, follow)
	if errno == unix.ELOOP {
		if got.State != events.StateAbsent || len(got.Links) < maxLinks || !slices.Equal(got.Links[:maxLinks], want.Links) {
			t.Fatalf("%s: a loop\ngot  %s\nwant %s", name, describe(got, base), describe(want, base))
		}
	} else if describe(got, base) != describe(want, base) {
		t.Fatalf("%s:\ngot  %s\nwant %s", name, describe(got, base), describe(want, base))
	}
	compareKernel(t, name, got, base, path, follow)
}

// compareKernel has the kernel resolve the path by itself.
func compareKernel(t *rapid.T, name string, got Result, base, path string, follow bool) {
	t.Helper()
	dir, errno := openPath(unix.AT_FDCWD, base, unix.O_DIRECTORY)
	if errno != 0 {
		t.Fatal(errno)
	}
	defer unix.Close(dir)
	flags := unix.O_NOFOLLOW
	if follow {
		flags = 0
	}
	fd, errno := openPath(dir, path, flags)
	if errno == 0 {
		defer unix.Close(fd)
		if state, mode := fdState(t, fd); got.State != state || got.End() != fdPath(t, fd) {
			t.Fatalf("%s: got %s, the kernel is at %s, mode %o", name, describe(got, base), fdPath(t, fd), mode)
		}
		return
	}
	switch {
	case got.State == events.StateAbsent && (errno == unix.ENOENT || errno == unix.ENOTDIR || errno == unix.ELOOP):
	case errno == unix.ENOTDIR && got.State != events.StateDir && got.State != events.StateUnknown:
		// A file is there, and the path wants a directory.
		if info, err := os.Lstat(got.End()); err != nil || info.IsDir() {
			t.Fatalf("%s: got %s, the kernel says %v", name, describe(got, base), errno)
		}
	default:
		t.Fatalf("%s: got %s, the kernel says %v", name, describe(got, base), errno)
	}
}

// FuzzResolve walks whatever bytes a program may give as a path, which are those of
// a string: not empty, and without a NUL.
func FuzzResolve(f *testing.F) {
	dir, err := filepath.EvalSymlinks(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	harness.Mkdir(f, dir+"/d")
	harness.WriteFile(f, dir+"/d/f", "")
	for link, target := range map[string]string{"l": "d", "d/l": "../d/f", "loop": "loop", "no": "nowhere", "d/up": ".."} {
		harness.Symlink(f, target, dir+"/"+link)
	}
	for _, test := range walkTests {
		f.Add([]byte(test.path))
	}
	for _, path := range []string{
		"/", "//", "l/f", "d/l/", "loop/x", "d/up/d/up/l/..", "/proc/self/fd/0", "/proc/self/cwd/..",
		"/proc/self/root/proc/thread-self/exe/.", "/proc/1/task/1/fd/x", "/proc//self", strings.Repeat("l/../", 800),
	} {
		f.Add([]byte(path))
	}
	warm := ForHost()
	f.Fuzz(func(t *testing.T, path []byte) {
		if len(path) == 0 || len(path) >= unix.PathMax || bytes.IndexByte(path, 0) >= 0 {
			return
		}
		inside := hostView()
		inside.Root = dir
		for _, v := range []*View{hostView(), inside, {Root: "/", NoLinks: true}, {Root: "/", anchor: anchor{name: fmt.Sprintf("/proc/%d/root", os.Getpid())}}} {
			for _, follow := range []bool{true, false} {
				r := warm.Resolve(v, under(dir), bytes.Clone(path), modeFor(follow))
				again := ForHost().Resolve(v, under(dir), bytes.Clone(path), modeFor(follow))
				if describe(r, dir) != describe(again, dir) {
					t.Errorf("%q: %s, and from a resolver that knows nothing %s", path, describe(r, dir), describe(again, dir))
				}
				if len(r.Path) == 0 || r.Path[0] != '/' || r.State == events.StateNone {
					t.Errorf("%q: %s", path, describe(r, dir))
				}
			}
		}
	})
}
