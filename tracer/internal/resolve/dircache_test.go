package resolve

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

func cacheOf(paths ...string) *dirCache {
	c := new(dirCache)
	for _, path := range paths {
		c.add([]byte(path), procfs.Inode{})
	}
	return c
}

func (c *dirCache) list() string {
	var known []string
	for _, path := range []string{"/a", "/a/b", "/a/b/c", "/a/bb", "/ab"} {
		if c.has([]byte(path)) {
			known = append(known, path)
		}
	}
	return strings.Join(known, " ")
}

func TestDirCache(t *testing.T) {
	all := []string{"/a", "/a/b", "/a/b/c", "/a/bb", "/ab"}
	tests := []struct {
		name string
		do   func(*dirCache)
		want string
	}{
		{"what was added", func(*dirCache) {}, "/a /a/b /a/b/c /a/bb /ab"},
		{"a directory about to be removed", func(c *dirCache) { c.removing("/a/b/c", procfs.Inode{}) }, "/a /a/b /a/bb /ab"},
		{"one about to be renamed, and all below it", func(c *dirCache) { c.moving("/a/b", procfs.Inode{}) }, "/a /a/bb /ab"},
		{"never again one of that name", func(c *dirCache) { c.removing("/a/b/c", procfs.Inode{}); c.add([]byte("/a/b/c"), procfs.Inode{}) }, "/a /a/b /a/bb /ab"},
		{"nor one below it", func(c *dirCache) {
			c.moving("/a/b", procfs.Inode{})
			c.add([]byte("/a/b/c"), procfs.Inode{})
			c.add([]byte("/a/b"), procfs.Inode{})
		}, "/a /a/bb /ab"},
		{"but its neighbours", func(c *dirCache) { c.moving("/a/b", procfs.Inode{}); c.add([]byte("/a/bb"), procfs.Inode{}) }, "/a /a/bb /ab"},
		{"nothing once mounts change", func(c *dirCache) { c.disable(); c.add([]byte("/a"), procfs.Inode{}) }, ""},
		{"nothing after that, whatever is removed", func(c *dirCache) {
			c.disable()
			c.moving("/a", procfs.Inode{})
			c.removing("/b", procfs.Inode{})
			c.add([]byte("/ab"), procfs.Inode{})
		}, ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := cacheOf(all...)
			test.do(c)
			if got := c.list(); got != test.want {
				t.Errorf("knows %q, want %q", got, test.want)
			}
		})
	}
}

// TestDirCacheBounds: it neither grows without end nor forgets what was moved.
func TestDirCacheBounds(t *testing.T) {
	c := new(dirCache)
	for i := range maxCachedDirs + 10 {
		c.add(fmt.Appendf(nil, "/%d", i), procfs.Inode{})
	}
	if len(c.known) != maxCachedDirs || !c.has([]byte("/0")) || c.has(fmt.Appendf(nil, "/%d", maxCachedDirs)) {
		t.Errorf("knows %d directories, want %d", len(c.known), maxCachedDirs)
	}
	c = cacheOf("/keep")
	for i := range maxCachedDirs + 1 {
		c.removing(fmt.Sprintf("/%d", i), procfs.Inode{})
	}
	if c.add([]byte("/0"), procfs.Inode{}); c.has([]byte("/0")) || c.has([]byte("/keep")) || len(c.movedPaths) > maxCachedDirs {
		t.Errorf("with %d moved paths it still remembers directories", len(c.movedPaths))
	}
}

// A treeChange is a call that changes what paths lead to: it is foreseen, then let
// through, then the kernel runs it, if it can. Other calls may be seen in between.
type treeChange struct {
	foresee, run func()
}

func drawChange(t *rapid.T, r *Resolver, dir string) treeChange {
	entry := func(what string) string {
		return dir + "/" + strings.Join(rapid.SliceOfN(treeName, 1, 3).Draw(t, what), "/")
	}
	look := func(path string) Result {
		return r.Resolve(hostView(), Base{}, []byte(path), Entry)
	}
	from, to := entry("from"), entry("to")
	change := func(op events.Op, run func()) treeChange {
		return treeChange{func() { foresee(r, op, look(from), Result{}) }, run}
	}
	rename := func(flags uint) treeChange {
		return treeChange{
			func() { foresee(r, events.OpRename, look(from), look(to)) },
			func() { _ = unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, flags) },
		}
	}
	switch rapid.IntRange(0, 5).Draw(t, "change") {
	case 0:
		return change(events.OpCreate, func() { _ = os.Mkdir(from, 0o755) })
	case 1:
		target := treePath(t, dir, "target")
		return change(events.OpCreate, func() { _ = os.Symlink(target, from) })
	case 2:
		return change(events.OpDelete, func() { _ = unix.Unlink(from) })
	case 3:
		return change(events.OpDelete, func() { _ = unix.Rmdir(from) })
	case 4:
		return rename(unix.RENAME_EXCHANGE)
	}
	return rename(0)
}

func foresee(r *Resolver, op events.Op, first, second Result) { r.Foresee(op, &first, &second) }

// resolverAt returns a resolver for which it is always now.
func resolverAt(now time.Time) *Resolver {
	r := ForHost()
	r.Now = now
	return r
}

// TestDirCacheWhileTreeChanges: whatever a session does to directories, a resolver
// that remembers says what one that remembers nothing says.
func TestDirCacheWhileTreeChanges(t *testing.T) {
	inRandomTrees(t, func(t *rapid.T, dir string) {
		warm := resolverAt(time.Now()) // for which no time passes
		compare := func(when string) {
			path := treePath(t, dir, "path")
			follow := rapid.Bool().Draw(t, "follow")
			got := warm.Resolve(hostView(), under(dir), []byte(path), modeIf(follow))
			warm.recent.keep(&got, &warm.dirs, warm.Now)
			want := ForHost().Resolve(hostView(), under(dir), []byte(path), modeIf(follow))
			if describe(got, dir) != describe(want, dir) {
				t.Fatalf("%s: %q\ngot  %s\nwant %s", when, path, describe(got, dir), describe(want, dir))
			}
		}
		for range rapid.IntRange(1, 15).Draw(t, "changes") {
			c := drawChange(t, warm, dir)
			compare("before")
			c.foresee()
			compare("foreseen")
			c.run()
			compare("changed")
			compare("changed")
		}
	})
}

// TestDirCacheAliases: a directory that is removed, or renamed, is so under each of its
// names, and so is what is below one that is renamed.
func TestDirCacheAliases(t *testing.T) {
	var c dirCache
	for i, path := range []string{"/a", "/a/d", "/a/d/e", "/b", "/b/d", "/b/d/e"} {
		c.add([]byte(path), procfs.Inode{Dev: 1, Ino: uint64(i%3 + 1)})
	}
	c.removing("/a/d/e", procfs.Inode{Dev: 1, Ino: 3})
	if c.has([]byte("/b/d/e")) || !c.has([]byte("/b/d")) {
		t.Error("removed by its other name")
	}
	c.moving("/b/d", procfs.Inode{Dev: 1, Ino: 2})
	for path, want := range map[string]bool{"/a": true, "/b": true, "/a/d": false, "/b/d": false, "/a/d/e": false} {
		if c.has([]byte(path)) != want {
			t.Errorf("%s: known %v, want %v", path, !want, want)
		}
	}
}

// TestBindAlias: what is done by one name of a directory is known by the other.
func TestBindAlias(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root to mount")
	}
	dir := harness.TempTree(t)
	for _, name := range []string{"/a", "/a/d", "/a/d/e", "/b", "/x"} {
		harness.Mkdir(t, dir+name)
	}
	harness.WriteFile(t, dir+"/a/d/f", "")
	harness.WriteFile(t, dir+"/x/f", "")
	harness.Symlink(t, "d", dir+"/a/link")
	if err := unix.Mount(dir+"/a", dir+"/b", "", unix.MS_BIND, ""); err != nil {
		t.Skipf("may not mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir+"/b", 0); err != nil {
			t.Error(err)
		}
	})
	r := ForHost()
	r.Now = time.Now() // for which no time passes
	look := func(path string, follow bool) Result {
		got := r.Resolve(hostView(), under(dir), []byte(path), modeFor(follow))
		r.recent.keep(&got, &r.dirs, r.Now)
		return got
	}
	expect := func(path, want string) {
		t.Helper()
		if got := describe(look(path, true), dir); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	expect("b/d/f", "$/b/d/f file")
	expect("b/link/f", "$/b/d/f file [$/b/link -> d]")
	foresee(r, events.OpDelete, look("a/link", false), Result{})
	if err := os.Remove(dir + "/a/link"); err != nil {
		t.Fatal(err)
	}
	harness.Symlink(t, "../x", dir+"/a/link")
	expect("b/link/f", "$/x/f file [$/b/link -> ../x]")
	foresee(r, events.OpRename, look("a/d", false), look("a/g", false))
	if err := os.Rename(dir+"/a/d", dir+"/a/g"); err != nil {
		t.Fatal(err)
	}
	harness.Symlink(t, "../x", dir+"/a/d")
	expect("b/d/f", "$/x/f file [$/b/d -> ../x]")
	expect("b/d/e", "$/x/e absent [$/b/d -> ../x]")
}
