package tracer

import (
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"golang.org/x/sys/unix"
)

func init() { helpers["dirInfo"] = dirInfoHelper }

// A dirAccess is what a record must say of a call that is about a directory.
type dirAccess struct {
	Op, Path string
	Info     events.FileInfo
}

// dirInfoHelper makes calls that are about directories, and prints before each what the
// kernel says of the directory.
func dirInfoHelper() {
	base := must(os.Getwd())
	fds := map[string]int{}
	for _, path := range []string{"/", base, base + "/sub"} {
		fds[path] = must(unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY, 0))
	}
	out := json.NewEncoder(os.Stdout)
	about := func(op events.Op, path string, call func() error) {
		var st unix.Stat_t
		if err := unix.Fstat(fds[path], &st); err != nil { // no notified call
			fail(err)
		}
		if err := out.Encode(dirAccess{op.String(), path, resolve.InfoOf(&st)}); err != nil {
			fail(err)
		}
		if err := call(); err != nil {
			fail(err)
		}
	}
	stat := func(path string) func() error {
		return func() error { return unix.Lstat(path, new(unix.Stat_t)) }
	}
	empty := func(fd int) func() error {
		return func() error { return unix.Fstatat(fd, "", new(unix.Stat_t), unix.AT_EMPTY_PATH) }
	}
	list := func() error {
		_, err := unix.Getdents(fds[base+"/sub"], make([]byte, 4096))
		return err
	}
	about(events.OpStat, base, stat("."))
	about(events.OpStat, base, stat("./"))
	about(events.OpStat, base, stat("sub/.."))
	about(events.OpStat, base, empty(unix.AT_FDCWD))
	about(events.OpStat, "/", stat("/"))
	about(events.OpStat, base, func() error { return unix.Access(".", unix.F_OK) })
	about(events.OpStat, base+"/sub", empty(fds[base+"/sub"]))
	about(events.OpList, base+"/sub", list)
	about(events.OpStat, base+"/sub", stat("sub"))

	// What the session makes in a directory changes its times.
	if err := unix.Mkdir("sub/made", 0o755); err != nil {
		fail(err)
	}
	about(events.OpStat, base+"/sub", stat("sub"))
	about(events.OpList, base+"/sub", list)
	if err := unix.Rmdir("sub/made"); err != nil {
		fail(err)
	}
	about(events.OpStat, base+"/sub", stat("sub"))
	about(events.OpChattr, base+"/sub", func() error { return unix.Fchmod(fds[base+"/sub"], 0o700) })
	about(events.OpStat, base+"/sub", stat("sub"))
	about(events.OpChattr, base, func() error { return unix.Chmod(".", 0o755) })
	about(events.OpStat, base, stat("."))
}

func must[T any](v T, err error) T {
	if err != nil {
		fail(err)
	}
	return v
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	unix.Exit(1)
}

// TestDirectoryInfo: a call that is about a directory says what the directory was like
// when the call was made.
func TestDirectoryInfo(t *testing.T) {
	needTracing(t)
	dir := harness.TempTree(t)
	harness.Mkdir(t, dir+"/sub")
	c := helperTrace("dirInfo", nil)
	c.Sink = new(recorder)
	c.Dir = dir
	c.Stdout, c.Stderr = harness.OpenFile(t, dir+"/said", os.O_RDWR|os.O_CREATE), os.Stderr
	res, r := runTrace(t, c)
	if res.Exit != (events.Exit{}) {
		t.Fatalf("exit %+v", res.Exit)
	}
	rest := r.list
	n := 0
	for d := json.NewDecoder(harness.OpenFile(t, dir+"/said", os.O_RDONLY)); d.More(); n++ {
		var want dirAccess
		if err := d.Decode(&want); err != nil {
			t.Fatal(err)
		}
		for len(rest) > 0 && (rest[0].Op.String() != want.Op || rest[0].Path != want.Path) {
			rest = rest[1:]
		}
		if len(rest) == 0 {
			t.Fatalf("%d: no %s of %s in the record", n, want.Op, want.Path)
		}
		if got := rest[0]; got.Info != want.Info || got.State != events.StateDir {
			t.Errorf("%d: %s %s: %v %+v, want %+v", n, want.Op, want.Path, got.State, got.Info, want.Info)
		}
		rest = rest[1:]
	}
	if n != 16 {
		t.Errorf("%d calls were made", n)
	}
}
