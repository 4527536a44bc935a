package observe

import (
	"os"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"golang.org/x/sys/unix"
)

// TestPrograms: what a program names is remembered as long as the file shows no sign of
// a change, and only if a change would have to show.
func TestPrograms(t *testing.T) {
	name := t.TempDir() + "/script"
	long := time.Now().Add(time.Hour) // all that happens here was long ago by then
	var ps programs
	var mtime time.Time
	write := func(interpreter string) (info events.FileInfo) {
		t.Helper()
		if err := os.WriteFile(name, []byte("#!"+interpreter+"\n"), 0o700); err != nil {
			t.Fatal(err)
		}
		if mtime.IsZero() {
			mtime = time.Now().Truncate(time.Second)
		}
		if err := os.Chtimes(name, mtime, mtime); err != nil {
			t.Fatal(err)
		}
		var st unix.Stat_t
		if err := unix.Lstat(name, &st); err != nil {
			t.Fatal(err)
		}
		return resolve.InfoOf(&st)
	}
	want := func(info events.FileInfo, now time.Time, interpreter string) {
		t.Helper()
		path, script, err := ps.interpreter(name, &info, now, resolve.ForHost())
		if err != nil || !script || string(path) != interpreter {
			t.Errorf("%q, script %v, %v; want %q", path, script, err, interpreter)
		}
	}
	first := write("/bin/a")
	want(first, long, "/bin/a")
	second := write("/bin/b")
	if first == second {
		t.Fatal("the change does not show")
	}
	want(second, long, "/bin/b")
	want(first, long, "/bin/a") // from memory: it is b's now

	// Just changed, by what the file says of itself: it is looked at each time.
	ps = programs{}
	want(second, time.Unix(0, second.Ctime).Add(time.Second), "/bin/b")
	write("/bin/c")
	want(second, long, "/bin/c")
}
