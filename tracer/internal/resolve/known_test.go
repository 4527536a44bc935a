package resolve

import (
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
	"pgregory.net/rapid"
)

// TestLookupTold: what is made of an answer of lstat, in a directory that is known to be
// one, is what a look says.
func TestLookupTold(t *testing.T) {
	top, n := harness.TempTree(t), 0
	rapid.Check(t, func(t *rapid.T) {
		n++
		dir := fmt.Sprintf("%s/%d", top, n)
		if err := os.Mkdir(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		defer os.RemoveAll(dir)
		growTree(t, dir)
		warm := ForHost()
		for range 20 {
			path := treePath(t, dir, "path")
			want := ForHost().Resolve(hostView(), under(dir), []byte(path), 0)
			var told Told
			var st unix.Stat_t
			at := path
			if path[0] != '/' {
				at = dir + "/" + path
			}
			switch err := unix.Lstat(at, &st); err {
			case nil:
				told.Info = InfoOf(&st)
			case unix.ENOENT:
				told.Absent = true
			default:
				continue
			}
			warm.Resolve(hostView(), under(dir), []byte(path), 0)
			got := warm.LookupTold(hostView(), under(dir), []byte(path), &told)
			if describe(got, dir) != describe(want, dir) || got.As != path || got.Info.Ino != want.Info.Ino || !reflect.DeepEqual(got.Left, want.Left) {
				t.Fatalf("%q:\ngot  %+v\nwant %+v", path, got, want)
			}
		}
	})
}

// TestLookupAnswered: who gets the same answer has found the same, for a while, until the
// session changes something.
func TestLookupAnswered(t *testing.T) {
	dir := harness.TempTree(t)
	harness.WriteFile(t, dir+"/a", "")
	harness.WriteFile(t, dir+"/b", "")
	harness.Symlink(t, "a", dir+"/link")
	start := time.Now()
	w := &World{served: Served{file: -1}}
	r := &Resolver{World: w}
	infoAt := func(name string) events.FileInfo {
		var st unix.Stat_t
		if err := unix.Stat(dir+"/"+name, &st); err != nil {
			t.Fatal(err)
		}
		return InfoOf(&st)
	}
	a, b := Answer{Info: infoAt("a")}, Answer{Info: infoAt("b")}
	none := Answer{Result: -int64(unix.ENOENT)}
	accessed := Answer{}
	look := func(after time.Duration, name string, answer Answer, want string) {
		t.Helper()
		r.Now = start.Add(after)
		got := r.LookupAnswered(hostView(), under(dir), []byte(name), Follow, &answer)
		if is := describe(got, dir); is != want || got.As != name {
			t.Errorf("%s after %v: %s as %s, want %s", name, after, is, got.As, want)
		}
	}
	relink := func(target string) {
		if err := os.Remove(dir + "/link"); err != nil {
			t.Fatal(err)
		}
		harness.Symlink(t, target, dir+"/link")
	}
	viaA, viaB := "$/link file => $/a [$/link -> a]", "$/link file => $/b [$/link -> b]"
	look(0, "link", a, viaA)
	look(0, "absent/x", none, "$/absent/x absent")
	relink("b") // somebody outside: only who looks knows
	harness.Mkdir(t, dir+"/absent")
	look(maxKnownAge-1, "link", a, viaA)
	look(maxKnownAge-1, "absent/x", none, "$/absent/x absent")
	look(maxKnownAge-1, "link", b, viaB)
	relink("a")
	look(maxKnownAge-1, "link", b, viaB)
	look(2*maxKnownAge, "link", b, viaA) // not for ever
	look(2*maxKnownAge, "link", accessed, viaA)
	relink("b")
	look(2*maxKnownAge, "link", accessed, viaA)
	look(2*maxKnownAge+2*MaxAge, "link", accessed, viaB) // an answer that says less
	look(2*maxKnownAge+2*MaxAge, "link", b, viaB)
	link := r.Resolve(hostView(), under(dir), []byte("link"), Entry)
	r.Foresee(events.OpDelete, &link, new(Result))
	look(2*maxKnownAge+2*MaxAge, "link", b, viaB)
	relink("a")
	look(2*maxKnownAge+2*MaxAge, "link", b, viaA) // it is the session that changes it
}
