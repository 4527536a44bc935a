package resolve

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
)

// under returns where paths begin that are relative to a directory.
func under(dir string) Base { return Base{Place: procfs.Place{Path: dir}} }

// modeIf returns how to look up a path whose last component is followed or not.
func modeIf(follow bool) Mode {
	if follow {
		return Follow
	}
	return 0
}

// modeFor is modeIf for a path that is an entry if it is not followed.
func modeFor(follow bool) Mode {
	if follow {
		return Follow
	}
	return Entry
}

// sampleTree makes what the tables below walk through.
func sampleTree(t testing.TB) string {
	dir := harness.TempTree(t)
	for _, sub := range []string{"d", "d/e", "d/e/h"} {
		harness.Mkdir(t, dir+"/"+sub)
	}
	for _, file := range []string{"d/f", "d/e/g", "d/\xff\xfe", "d/" + name255} {
		harness.WriteFile(t, dir+"/"+file, "")
	}
	if err := unix.Mkfifo(dir+"/fifo", 0o600); err != nil {
		t.Fatal(err)
	}
	for link, target := range map[string]string{
		"lf": "d/f", "ld": "d", "abs": dir + "/d/f", "chain": "lf", "chained": "ld/e",
		"loop": "loop", "a": "b", "b": "a", "dangling": "nowhere", "deep": "nowhere/x",
		"slash": "d/", "fileslash": "d/f/", "up": "d/e/..", "here": ".", "d/back": "..",
		"d/root": "/", "slashes": "d//.//e/", "dots": "./d/../d/./e", "d/inroot": "/e", "lfifo": "fifo",
	} {
		harness.Symlink(t, target, dir+"/"+link)
	}
	return dir
}

var name255 = strings.Repeat("n", 255)

// describe writes a result as the tables do: path, state, what it leads to, and the
// links on the way, with the tree's name shortened to "$".
func describe(r Result, dir string) string {
	s := r.Path + " " + r.State.String()
	if r.Real != "" {
		s += " => " + r.Real
	}
	for _, l := range r.Links {
		s += fmt.Sprintf(" [%s -> %s]", l.Path, l.Target)
	}
	return strings.ReplaceAll(s, dir, "$")
}

func hostView() *View { return &View{Root: "/", PID: os.Getpid(), TID: os.Getpid()} }

// A walkTest is one path from $, with the result of a call that follows a link at
// the end and, where it is another, of one that does not.
type walkTest struct{ path, follow, nofollow string }

var walkTests = []walkTest{
	// Plain names.
	{"d", "$/d dir", ""},
	{"d/f", "$/d/f file", ""},
	{"fifo", "$/fifo other", ""},
	{"./d//f", "$/d/f file", ""},
	{"d/./e/./g", "$/d/e/g file", ""},
	{".", "$ dir", ""},
	{"./", "$ dir", ""},
	{"./.", "$ dir", ""},
	{"d/", "$/d dir", ""},
	{"d//", "$/d dir", ""},
	{"d/.", "$/d dir", ""},
	{"d/./.", "$/d dir", ""},
	{"d/..", "$ dir", ""},
	{"d/e/../f", "$/d/f file", ""},
	{"d/e/../../d/e/g", "$/d/e/g file", ""},
	{"d/e/..", "$/d dir", ""},
	{"d/e/../", "$/d dir", ""},
	{"...", "$/... absent", ""},
	{"d/...", "$/d/... absent", ""},
	{"d/..f", "$/d/..f absent", ""},
	{"d/\xff\xfe", "$/d/\xff\xfe file", ""},
	{"d/\xff\xfe\xfd", "$/d/\xff\xfe\xfd absent", ""},
	{"d/" + name255, "$/d/" + name255 + " file", ""},

	// Nothing there.
	{"no", "$/no absent", ""},
	{"no/", "$/no absent", ""},
	{"d/no", "$/d/no absent", ""},
	{"no/x/y", "$/no/x/y absent", ""},
	{"no/./x//y/", "$/no/x/y absent", ""},
	{"no/../d", "$/no absent", ""},
	{"no/x/../../d", "$/no absent", ""},

	// A file where a directory should be: it is there, what is below it is not.
	{"d/f/x", "$/d/f/x absent", ""},
	{"d/f/x/y", "$/d/f/x/y absent", ""},
	{"d/f/", "$/d/f file", ""},
	{"d/f/.", "$/d/f file", ""},
	{"d/f/..", "$/d/f file", ""},
	{"d/f/../e", "$/d/f file", ""},
	{"d/f/x/../..", "$/d/f file", ""},
	{"fifo/x", "$/fifo/x absent", ""},

	// Links at the end.
	{"lf", "$/lf file => $/d/f [$/lf -> d/f]", "$/lf symlink"},
	{"ld", "$/ld dir => $/d [$/ld -> d]", "$/ld symlink"},
	{"abs", "$/abs file => $/d/f [$/abs -> $/d/f]", "$/abs symlink"},
	{"chain", "$/chain file => $/d/f [$/chain -> lf] [$/lf -> d/f]", "$/chain symlink"},
	{"chained", "$/chained dir => $/d/e [$/chained -> ld/e] [$/ld -> d]", "$/chained symlink"},
	{"up", "$/up dir => $/d [$/up -> d/e/..]", "$/up symlink"},
	{"here", "$/here dir => $ [$/here -> .]", "$/here symlink"},
	{"d/back", "$/d/back dir => $ [$/d/back -> ..]", "$/d/back symlink"},
	{"d/root", "$/d/root dir => / [$/d/root -> /]", "$/d/root symlink"},
	{"slash", "$/slash dir => $/d [$/slash -> d/]", "$/slash symlink"},
	{"slashes", "$/slashes dir => $/d/e [$/slashes -> d//.//e/]", "$/slashes symlink"},
	{"dots", "$/dots dir => $/d/e [$/dots -> ./d/../d/./e]", "$/dots symlink"},
	{"fileslash", "$/fileslash file => $/d/f [$/fileslash -> d/f/]", "$/fileslash symlink"},
	{"lfifo", "$/lfifo other => $/fifo [$/lfifo -> fifo]", "$/lfifo symlink"},
	{"dangling", "$/dangling absent => $/nowhere [$/dangling -> nowhere]", "$/dangling symlink"},
	{"deep", "$/deep absent => $/nowhere/x [$/deep -> nowhere/x]", "$/deep symlink"},

	// A slash or a dot behind a link: it is followed whatever the call.
	{"ld/", "$/ld dir => $/d [$/ld -> d]", ""},
	{"ld/.", "$/ld dir => $/d [$/ld -> d]", ""},
	{"ld//./", "$/ld dir => $/d [$/ld -> d]", ""},
	{"lf/", "$/lf file => $/d/f [$/lf -> d/f]", ""},
	{"dangling/", "$/dangling absent => $/nowhere [$/dangling -> nowhere]", ""},

	// Links on the way.
	{"ld/f", "$/d/f file [$/ld -> d]", ""},
	{"chained/g", "$/d/e/g file [$/chained -> ld/e] [$/ld -> d]", ""},
	{"ld/no", "$/d/no absent [$/ld -> d]", ""},
	{"ld/..", "$ dir [$/ld -> d]", ""},
	{"chained/../f", "$/d/f file [$/chained -> ld/e] [$/ld -> d]", ""},
	{"here/here/d/back/d/f", "$/d/f file [$/here -> .] [$/here -> .] [$/d/back -> ..]", ""},
	{"d/back/lf", "$/lf file => $/d/f [$/d/back -> ..] [$/lf -> d/f]", "$/lf symlink [$/d/back -> ..]"},
	{"d/root/proc", "/proc dir [$/d/root -> /]", ""},
	{"dangling/x", "$/nowhere/x absent [$/dangling -> nowhere]", ""},
	{"lf/x", "$/d/f/x absent [$/lf -> d/f]", ""},
	{"lf/..", "$/d/f file [$/lf -> d/f]", ""},
}

func TestResolve(t *testing.T) {
	dir := sampleTree(t)
	r := ForHost()
	for range 2 { // the second time all directories are known
		testWalks(t, r, dir)
	}
	if !r.dirs.has([]byte(dir + "/d")) {
		t.Errorf("%s/d is not known", dir)
	}
}

func testWalks(t *testing.T, r *Resolver, dir string) {
	t.Helper()
	for _, test := range walkTests {
		if test.nofollow == "" {
			test.nofollow = test.follow
		}
		for _, from := range []struct {
			prefix string
			base   Base
		}{
			{"", under(dir)},
			{dir + "/", under(dir + "/absent")},
			{"d/../", under(dir)},
		} {
			for follow, want := range map[bool]string{true: test.follow, false: test.nofollow} {
				path := from.prefix + test.path
				got := r.Resolve(hostView(), from.base, []byte(path), modeIf(follow))
				if describe(got, dir) != want {
					t.Errorf("%q, follow %v:\ngot  %s\nwant %s", path, follow, describe(got, dir), want)
				}
				if got.As != path || !got.Set {
					t.Errorf("%q was given as %q", path, got.As)
				}
			}
		}
	}
}

// TestResolveRoot walks to the root and to where nothing is above it.
func TestResolveRoot(t *testing.T) {
	for path, want := range map[string]string{
		"/": "/ dir", "//": "/ dir", "/.": "/ dir", "/..": "/ dir", "/../../proc": "/proc dir", "/proc/..": "/ dir",
	} {
		if got := describe(ForHost().Resolve(hostView(), Base{}, []byte(path), Follow), "$"); got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]string{".": "/ dir", "..": "/ dir", "proc": "/proc dir"} {
		if got := describe(ForHost().Resolve(hostView(), under("/"), []byte(path), Follow), "$"); got != want {
			t.Errorf("%q from the root: %s, want %s", path, got, want)
		}
	}
}

// TestResolveParent: calls that make or remove an entry do not follow it, even with
// a slash behind it.
func TestResolveParent(t *testing.T) {
	dir := sampleTree(t)
	for path, want := range map[string]string{
		"ld/": "$/ld symlink", "dangling/": "$/dangling symlink", "ld//": "$/ld symlink",
		"ld/new": "$/d/new absent [$/ld -> d]", "new/": "$/new absent", "d/": "$/d dir",
		"ld/.": "$/ld dir => $/d [$/ld -> d]", "ld/./": "$/ld dir => $/d [$/ld -> d]",
	} {
		got := describe(ForHost().Resolve(hostView(), under(dir), []byte(path), Entry), dir)
		if got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}

// TestResolveLoops: the kernel follows forty links on a path, and no more. What is
// recorded must not say that a link is absent which is there.
func TestResolveLoops(t *testing.T) {
	dir := sampleTree(t)
	harness.WriteFile(t, dir+"/end", "")
	harness.Symlink(t, "end", dir+"/1")
	for i := 2; i <= 41; i++ {
		harness.Symlink(t, fmt.Sprint(i-1), fmt.Sprintf("%s/%d", dir, i))
	}
	tests := []struct {
		path, want string // without the links
		links      int    // at least
	}{
		{"40", "$/40 file => $/end", 40},
		{"41", "$/41 absent", 40},
		{"here/39", "$/39 file => $/end", 40},
		{"here/here/39", "$/39 absent", 40},
		{"loop", "$/loop absent", 40},
		{"a", "$/a absent", 40},
		{"loop/x", "$/loop/x absent", 40},
		{"a/x/y", "$/a/x/y absent", 40},
	}
	for _, test := range tests {
		r := ForHost().Resolve(hostView(), under(dir), []byte(test.path), Follow)
		links := len(r.Links)
		r.Links = nil
		if got := describe(r, dir); got != test.want || links < test.links || links > test.links+1 {
			t.Errorf("%q: %s, %d links; want %s, %d links", test.path, got, links, test.want, test.links)
		}
	}
	if got := describe(ForHost().Resolve(hostView(), under(dir), []byte("loop"), 0), dir); got != "$/loop symlink" {
		t.Errorf("a loop that is not followed: %s", got)
	}
}

// TestResolveRemovedBase walks from a directory that was removed.
func TestResolveRemovedBase(t *testing.T) {
	dir := sampleTree(t)
	base := Base{Place: procfs.Place{Path: dir + "/d/removed", Gone: true}}
	for path, want := range map[string]string{
		"x": "$/d/removed/x absent", "x/y": "$/d/removed/x/y absent", "./x": "$/d/removed/x absent",
		"..": "$/d dir", "../f": "$/d/f file", "../../lf": "$/lf file => $/d/f [$/lf -> d/f]", "../no": "$/d/no absent",
		".": "$/d/removed dir",
	} {
		got := describe(ForHost().Resolve(hostView(), base, []byte(path), Follow), dir)
		if got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	// A directory of that name that is there now is another one.
	harness.Mkdir(t, dir+"/d/removed")
	harness.WriteFile(t, dir+"/d/removed/x", "")
	if got := describe(ForHost().Resolve(hostView(), base, []byte("x"), Follow), dir); got != "$/d/removed/x absent" {
		t.Errorf("x: %s, want absent", got)
	}
}

// TestResolveInRoot has "/" lead to another directory, as chroot does.
func TestResolveInRoot(t *testing.T) {
	dir := sampleTree(t)
	v := hostView()
	v.Root = dir + "/d"
	for path, want := range map[string]string{
		"/": "$/d dir", "/f": "$/d/f file", "/..": "$/d dir", "/../../e/g": "$/d/e/g file",
		"/inroot/g": "$/d/e/g file [$/d/inroot -> /e]", "/back": "$/d/back dir => $/d [$/d/back -> ..]",
		"/root/f": "$/d/f file [$/d/root -> /]", "/no": "$/d/no absent",
		"..": "$/d dir", "../..": "$/d dir", "f": "$/d/e/f absent", "../../../f": "$/d/f file",
	} {
		got := describe(ForHost().Resolve(v, under(dir+"/d/e"), []byte(path), Follow), dir)
		if got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
	// A working directory outside is not held in.
	if got := describe(ForHost().Resolve(v, under(dir), []byte("lf"), 0), dir); got != "$/lf symlink" {
		t.Errorf("from outside: %s", got)
	}
	if got := describe(ForHost().Resolve(v, under(dir), []byte(".."), 0), filepath.Dir(dir)); got != "$ dir" {
		t.Errorf("up from outside: %s", got)
	}
}

// TestResolveNoLinks has openat2 refuse symbolic links: RESOLVE_NO_SYMLINKS.
func TestResolveNoLinks(t *testing.T) {
	dir := sampleTree(t)
	v := hostView()
	v.NoLinks = true
	for path, want := range map[string]string{
		"d/f": "$/d/f file", "lf": "$/lf symlink", "ld/f": "$/ld symlink", "no": "$/no absent", "d/back/d": "$/d/back symlink",
		"/proc/self/status": "/proc/self symlink", "/proc/self": "/proc/self symlink", "/proc/thread-self/cwd": "/proc/thread-self symlink",
		fmt.Sprintf("/proc/%d/cwd/x", v.PID): fmt.Sprintf("/proc/%d/cwd symlink", v.PID),
	} {
		got := describe(ForHost().Resolve(v, under(dir), []byte(path), Follow), dir)
		if got != want {
			t.Errorf("%q: %s, want %s", path, got, want)
		}
	}
}

// BenchmarkResolve looks up files in a directory that is known, eight levels down: what a
// call costs the receiver beside the kernel's part, and one lstat. "linked" comes there
// by a symbolic link, "linked lately" by one that was read a moment ago.
func BenchmarkResolve(b *testing.B) {
	top := harness.TempTree(b)
	dir := top + "/1/2/3/4/5/6/7/8"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	harness.WriteFile(b, dir+"/file", "")
	if err := os.Symlink("1/2/3/4/5/6/7/8", top+"/link"); err != nil {
		b.Fatal(err)
	}
	for _, test := range []struct {
		name, path string
		now        time.Time
	}{
		{"file", dir + "/file", time.Time{}},
		{"absent", dir + "/absent", time.Time{}},
		{"linked", top + "/link/file", time.Time{}},
		{"linked lately", top + "/link/file", time.Now()},
	} {
		b.Run(test.name, func(b *testing.B) {
			r, v, name := resolverAt(test.now), hostView(), []byte(test.path)
			b.ReportAllocs()
			for b.Loop() {
				r.Resolve(v, under("/"), name, Follow)
			}
		})
	}
}
