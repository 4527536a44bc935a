package resolve

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// Paths through the links of /proc that lead to an open file itself, and paths
// longer than one call takes.

// procView is this process's own, whose /proc/self the tests stand in for.
func procView(t *testing.T) *View {
	t.Helper()
	if _, err := os.Stat("/proc/self/fd"); err != nil {
		t.Skip("no /proc: ", err)
	}
	return hostView()
}

func walkFollow(v *View, base, path string) Result {
	return ForHost().Resolve(v, under(base), []byte(path), Follow)
}

func TestResolveMagicLinks(t *testing.T) {
	dir, v := sampleTree(t), procView(t)
	file := harness.OpenFile(t, dir+"/d/f", os.O_RDONLY)
	sub := harness.OpenFile(t, dir+"/d/e", os.O_RDONLY)
	self := fmt.Sprintf("/proc/%d", os.Getpid())
	f, d := fmt.Sprintf("%s/fd/%d", self, file.Fd()), fmt.Sprintf("%s/fd/%d", self, sub.Fd())
	cwd, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	exe, err := os.Readlink("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	ofSelf := fmt.Sprintf("[/proc/self -> %d]", os.Getpid())
	ofThread := fmt.Sprintf("[/proc/thread-self -> %[1]d/task/%[1]d]", os.Getpid())
	tests := []struct{ path, want string }{
		{"/proc/self", fmt.Sprintf("/proc/self dir => %s %s", self, ofSelf)},
		{"/proc/self/", fmt.Sprintf("/proc/self dir => %s %s", self, ofSelf)},
		{"/proc/self/status", fmt.Sprintf("%s/status file %s", self, ofSelf)},
		{"/proc/thread-self/status", fmt.Sprintf("%s/task/%d/status file %s", self, os.Getpid(), ofThread)},
		{f, fmt.Sprintf("%[1]s file => $/d/f [%[1]s -> $/d/f]", f)},
		{strings.Replace(f, self, "/proc/self", 1), fmt.Sprintf("%[1]s file => $/d/f %[2]s [%[1]s -> $/d/f]", f, ofSelf)},
		{d + "/g", fmt.Sprintf("$/d/e/g file [%s -> $/d/e]", d)},
		{d + "/../f", fmt.Sprintf("$/d/f file [%s -> $/d/e]", d)},
		{d + "/no", fmt.Sprintf("$/d/e/no absent [%s -> $/d/e]", d)},
		{d + "/..", fmt.Sprintf("$/d dir [%s -> $/d/e]", d)},
		{f + "/x", fmt.Sprintf("$/d/f/x absent [%s -> $/d/f]", f)},
		{self + "/cwd", fmt.Sprintf("%[1]s/cwd dir => %[2]s [%[1]s/cwd -> %[2]s]", self, cwd)},
		{self + "/cwd/resolver.go", fmt.Sprintf("%[2]s/resolver.go file [%[1]s/cwd -> %[2]s]", self, cwd)},
		{self + "/root", fmt.Sprintf("%[1]s/root dir => / [%[1]s/root -> /]", self)},
		{self + "/root" + dir + "/lf", fmt.Sprintf("$/lf file => $/d/f [%s/root -> /] [$/lf -> d/f]", self)},
		{self + "/exe", fmt.Sprintf("%[1]s/exe file => %[2]s [%[1]s/exe -> %[2]s]", self, exe)},
		{self + "/fd/99999", self + "/fd/99999 absent"},
		{self + "/fd/x", self + "/fd/x absent"},
		{"/proc/999999999/cwd", "/proc/999999999/cwd absent"},
	}
	for _, test := range tests {
		if got := describe(walkFollow(v, dir, test.path), dir); got != test.want {
			t.Errorf("%q:\ngot  %s\nwant %s", test.path, got, test.want)
		}
	}
	// A link named so elsewhere is an ordinary one.
	harness.Mkdir(t, dir+"/proc")
	harness.Mkdir(t, dir+"/proc/1")
	harness.Symlink(t, "../../d", dir+"/proc/1/cwd")
	if got := describe(walkFollow(v, dir, "proc/1/cwd/f"), dir); got != "$/d/f file [$/proc/1/cwd -> ../../d]" {
		t.Errorf("proc/1/cwd of another directory: %s", got)
	}
}

// TestResolveMagicNofollow: calls that ask about the link itself see a link.
func TestResolveMagicNofollow(t *testing.T) {
	v := procView(t)
	for _, name := range []string{"cwd", "exe", "fd/0"} {
		path := fmt.Sprintf("/proc/%d/%s", os.Getpid(), name)
		got := describe(ForHost().Resolve(v, Base{}, []byte(path), 0), "$")
		if got != path+" symlink" {
			t.Errorf("%s: %s", path, got)
		}
	}
	got := describe(ForHost().Resolve(v, Base{}, []byte("/proc/self"), 0), "$")
	if got != "/proc/self symlink" {
		t.Errorf("/proc/self: %s", got)
	}
}

// TestResolveNameless: some descriptors stand for what has no path. A result without
// a path must not come of them, nor one that names what is not there.
func TestResolveNameless(t *testing.T) {
	dir, v := sampleTree(t), procView(t)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	memfd, err := unix.MemfdCreate("some", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(memfd) })
	pipe := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), r.Fd())
	mem := fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), memfd)
	tests := []struct{ path, want string }{
		{pipe, pipe + " other"},
		{pipe + "/x", pipe + "/x absent"},
		{pipe + "/../x", pipe + " other"},
		{mem, mem + " file"},
	}
	for _, test := range tests {
		got := walkFollow(v, dir, test.path)
		got.Links = nil // their text is no path either
		if describe(got, dir) != test.want {
			t.Errorf("%q: %s, want %s", test.path, describe(got, dir), test.want)
		}
	}
}

// TestResolveRemovedFile: a magic link leads to a file that has no name any more, or
// to one whose name only looks so.
func TestResolveRemovedFile(t *testing.T) {
	dir, v := sampleTree(t), procView(t)
	odd := harness.OpenFile(t, dir+"/d/odd (deleted)", os.O_CREATE|os.O_RDWR)
	removed := harness.OpenFile(t, dir+"/d/gone", os.O_CREATE|os.O_RDWR)
	harness.Mkdir(t, dir+"/d/rm")
	sub := harness.OpenFile(t, dir+"/d/rm", os.O_RDONLY)
	for _, name := range []string{"gone", "rm"} {
		if err := os.Remove(dir + "/d/" + name); err != nil {
			t.Fatal(err)
		}
	}
	fd := func(f *os.File) string { return fmt.Sprintf("/proc/%d/fd/%d", os.Getpid(), f.Fd()) }
	tests := []struct{ path, want string }{
		{fd(odd), fd(odd) + " file => $/d/odd (deleted)"},
		{fd(removed), fd(removed) + " file => $/d/gone"},
		{fd(sub), fd(sub) + " dir => $/d/rm"},
		{fd(sub) + "/x", "$/d/rm/x absent"},
		{fd(sub) + "/../f", "$/d/f file"},
	}
	for _, test := range tests {
		got := walkFollow(v, dir, test.path)
		got.Links = nil
		if describe(got, dir) != test.want {
			t.Errorf("%q: %s, want %s", test.path, describe(got, dir), test.want)
		}
	}
}

// deepTree makes directories one in the other until the innermost's path has at
// least n bytes, and returns that path and a descriptor.
func deepTree(t *testing.T, dir string, n int) (path string, fd int) {
	t.Helper()
	fd, err := unix.Open(dir, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	name := strings.Repeat("x", 200)
	for path = dir; len(path) < n; path += "/" + name {
		if err := unix.Mkdirat(fd, name, 0o755); err != nil {
			t.Fatal(err)
		}
		sub, err := unix.Openat(fd, name, unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		fd = sub
	}
	return path, fd
}

// TestResolveLong: base and path together may be longer than a path can be.
func TestResolveLong(t *testing.T) {
	dir := harness.TempTree(t)
	base, _ := deepTree(t, dir, unix.PathMax-250)
	step := strings.Repeat("x", 200) + "/"
	rel := strings.Repeat(step, (unix.PathMax-250)/len(step))
	_, fd := deepTree(t, base, len(base)+len(rel))
	file, err := unix.Openat(fd, "f", unix.O_CREAT|unix.O_WRONLY|unix.O_CLOEXEC, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(file)
	for name, target := range map[string]string{"lf": "f", "up": ".."} {
		if err := unix.Symlinkat(target, fd, name); err != nil {
			t.Fatal(err)
		}
	}
	last := strings.TrimSuffix(rel, "/")
	tests := []struct{ path, want string }{
		{"", "$/" + last + " dir"},
		{"f", "$/" + rel + "f file"},
		{"no", "$/" + rel + "no absent"},
		{"no/x", "$/" + rel + "no/x absent"},
		{"f/x", "$/" + rel + "f/x absent"},
		{"../" + step + "f", "$/" + rel + "f file"},
		{"lf", fmt.Sprintf("$/%[1]slf file => $/%[1]sf [$/%[1]slf -> f]", rel)},
		{"up/" + step + "f", fmt.Sprintf("$/%[1]sf file [$/%[1]sup -> ..]", rel)},
	}
	for _, test := range tests {
		for _, r := range []*Resolver{ForHost(), warmed(t, base, rel)} {
			got := r.Resolve(hostView(), under(base), []byte(rel+test.path), Follow)
			if got := describe(got, base); got != test.want {
				t.Errorf("...%q:\ngot  %s\nwant %s", test.path, shorten(got), shorten(test.want))
			}
		}
	}
}

// warmed returns a resolver that has been to a path before.
func warmed(t *testing.T, base, path string) *Resolver {
	t.Helper()
	r := ForHost()
	r.Resolve(hostView(), under(base), []byte(path), Follow)
	return r
}

func shorten(s string) string { return strings.ReplaceAll(s, strings.Repeat("x", 200)+"/", "") }

// TestResolveLongName: no file can have a name of more than 255 bytes.
func TestResolveLongName(t *testing.T) {
	dir := sampleTree(t)
	for _, n := range []int{256, 1000, unix.PathMax - 1} {
		name := strings.Repeat("n", n)
		for _, base := range []string{dir, "/"} {
			got := walkFollow(hostView(), base, name)
			if got.Path != strings.TrimSuffix(base, "/")+"/"+name || got.State != events.StateAbsent {
				t.Errorf("a name of %d bytes in %s: %.40s... %s", n, base, got.Path, got.State)
			}
		}
	}
}
