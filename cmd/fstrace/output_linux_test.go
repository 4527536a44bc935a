package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

const wholeRecord = "read      /etc/hosts\n"

// writeRecord opens name, writes a record and returns the output, to be
// committed or not.
func writeRecord(t *testing.T, name string) *output {
	t.Helper()
	o, err := openOutput(name)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(o.abort)
	if _, err := io.WriteString(o, wholeRecord); err != nil {
		t.Fatal(err)
	}
	return o
}

func commit(t *testing.T, o *output) {
	t.Helper()
	if err := o.commit(); err != nil {
		t.Fatal(err)
	}
	o.abort() // does nothing now
}

// entries returns the names in dir.
func entries(t *testing.T, dir string) []string {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, e := range list {
		names = append(names, e.Name())
	}
	return names
}

func wantEntries(t *testing.T, dir string, want ...string) {
	t.Helper()
	if got := entries(t, dir); fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("in the directory: %q, want %q", got, want)
	}
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != want {
		t.Errorf("%s has %q, want %q", filepath.Base(name), got, want)
	}
}

func wantMode(t *testing.T, name string, want os.FileMode) {
	t.Helper()
	info, err := os.Lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	if info.Mode() != want {
		t.Errorf("%s has mode %v, want %v", filepath.Base(name), info.Mode(), want)
	}
}

func existingFile(t *testing.T, name, content string, mode os.FileMode) string {
	t.Helper()
	if err := os.WriteFile(name, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, mode); err != nil {
		t.Fatal(err)
	}
	return name
}

// umask returns the umask without changing it for anybody.
func umask(t *testing.T) os.FileMode {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	var mask os.FileMode
	for line := range strings.Lines(string(status)) {
		if _, err := fmt.Sscanf(line, "Umask: %o", &mask); err == nil {
			return mask
		}
	}
	t.Fatal("no Umask in /proc/self/status (Linux 4.7)")
	return 0
}

func TestOutputNewFile(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "record")
	o := writeRecord(t, name)
	if o.temp != "" {
		t.Skip("this file system has no unnamed files (O_TMPFILE)")
	}
	wantEntries(t, dir) // the command would see nothing, and a crash leave nothing
	commit(t, o)
	wantEntries(t, dir, "record")
	wantFile(t, name, wholeRecord)
	wantMode(t, name, 0o666&^umask(t))
}

func TestOutputReplaces(t *testing.T) {
	dir := t.TempDir()
	name := existingFile(t, filepath.Join(dir, "record"), "old, and longer than the new one", 0o640)
	before, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer before.Close()
	o := writeRecord(t, name)
	wantFile(t, name, "old, and longer than the new one")
	commit(t, o)
	wantEntries(t, dir, "record")
	wantFile(t, name, wholeRecord)
	wantMode(t, name, 0o640)
	// Who reads the old one goes on reading the old one.
	if old, err := io.ReadAll(before); err != nil || !bytes.HasPrefix(old, []byte("old")) {
		t.Errorf("the old file has %q, %v", old, err)
	}
}

func TestOutputAbort(t *testing.T) {
	dir := t.TempDir()
	name := existingFile(t, filepath.Join(dir, "record"), "old", 0o600)
	writeRecord(t, name).abort()
	writeRecord(t, filepath.Join(dir, "other")).abort()
	wantEntries(t, dir, "record")
	wantFile(t, name, "old")
}

// Where there are no unnamed files, the record has a hidden name until it is whole.
func TestOutputNamedTemporary(t *testing.T) {
	for _, base := range []string{"record", strings.Repeat("x", unix.NAME_MAX)} {
		for _, whole := range []bool{true, false} {
			dir := t.TempDir()
			o, err := openOutput(filepath.Join(dir, base))
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(o.abort)
			o.file.Close()
			if err := o.createNamed(); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(o, wholeRecord); err != nil {
				t.Fatal(err)
			}
			if got := entries(t, dir); len(got) != 1 || !strings.HasPrefix(got[0], "."+base[:6]) || !strings.Contains(got[0], ".fstrace-") {
				t.Errorf("in the directory: %q", got)
			}
			if !whole {
				o.abort()
				wantEntries(t, dir)
				continue
			}
			commit(t, o)
			wantEntries(t, dir, base)
			wantFile(t, filepath.Join(dir, base), wholeRecord)
		}
	}
}

func TestOutputSymlink(t *testing.T) {
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	// link -> up/target: "up" is a/b, so that ".." by the letter would be wrong.
	for link, target := range map[string]string{"up": "a/b", "link": "up/../target"} {
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
	}
	for range 2 { // dangling, then not
		commit(t, writeRecord(t, filepath.Join(dir, "link")))
		wantMode(t, filepath.Join(dir, "link"), os.ModeSymlink|0o777)
		wantFile(t, filepath.Join(dir, "a/target"), wholeRecord)
		wantEntries(t, filepath.Join(dir, "a"), "b", "target")
		wantEntries(t, dir, "a", "link", "up")
	}
}

func TestOutputDirect(t *testing.T) {
	commit(t, writeRecord(t, os.DevNull))

	dir := t.TempDir()
	fifo := filepath.Join(dir, "fifo")
	if err := unix.Mkfifo(fifo, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("fifo", filepath.Join(dir, "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"fifo", "link"} {
		// A reader that is there already, so that no open has to wait.
		r, err := os.OpenFile(fifo, os.O_RDONLY|unix.O_NONBLOCK, 0)
		if err != nil {
			t.Fatal(err)
		}
		commit(t, writeRecord(t, filepath.Join(dir, name)))
		got, err := io.ReadAll(r)
		r.Close()
		if err != nil || string(got) != wholeRecord {
			t.Errorf("%s: got %q, %v", name, got, err)
		}
		wantMode(t, fifo, os.ModeNamedPipe|0o600)
	}
}

// FILE may name a descriptor that fstrace was started with: a pipe, or a file
// that others write to as well. Its offset is what counts then.
func TestOutputDescriptor(t *testing.T) {
	name := filepath.Join(t.TempDir(), "log")
	log, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	if _, err := log.WriteString("before\n"); err != nil {
		t.Fatal(err)
	}
	inherited, err := unix.Dup(int(log.Fd())) // without close-on-exec
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(inherited)
	for _, dir := range []string{"/dev/fd", "/proc/self/fd"} {
		commit(t, writeRecord(t, fmt.Sprintf("%s/%d", dir, inherited)))
	}
	if _, err := log.WriteString("after\n"); err != nil {
		t.Fatal(err)
	}
	wantFile(t, name, "before\n"+wholeRecord+wholeRecord+"after\n")

	// A descriptor of our own, as the runtime's epoll is, was not meant.
	own := fmt.Sprintf("/dev/fd/%d", log.Fd())
	if _, err := openOutput(own); !errors.Is(err, unix.EBADF) {
		t.Errorf("%s: %v, want %v", own, err, unix.EBADF)
	}
}

func TestOutputStandard(t *testing.T) {
	for name, file := range map[string]*os.File{"": os.Stderr, "-": os.Stdout} {
		o, err := openOutput(name)
		if err != nil {
			t.Fatal(err)
		}
		if o.file != file || o.isStdout() != (name == "-") {
			t.Errorf("%q is %s", name, o.file.Name())
		}
		commit(t, o)
		if _, err := unix.FcntlInt(file.Fd(), unix.F_GETFD, 0); err != nil {
			t.Errorf("%q is closed after the commit: %v", name, err)
		}
	}
}

func TestOutputErrors(t *testing.T) {
	dir := t.TempDir()
	file := existingFile(t, filepath.Join(dir, "file"), "", 0o600)
	loop := filepath.Join(dir, "loop")
	if err := os.Symlink("loop", loop); err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, want string }{
		{dir + "/no/x", "no such file or directory"},
		{file + "/x", "not a directory"},
		{dir, "is a directory"},
		{dir + "/new/", "is a directory"},
		{loop, "too many levels of symbolic links"},
		{dir + "/" + strings.Repeat("x", unix.NAME_MAX+1), "file name too long"},
		{"/dev/fd/123456", "bad file descriptor"},
		{"/proc/x", "no such file or directory"},
	}
	for _, tt := range tests {
		o, err := openOutput(tt.name)
		if err == nil {
			o.abort()
		}
		if want := "open record " + tt.name + ": " + tt.want; err == nil || err.Error() != want {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	wantEntries(t, dir, "file", "loop")

	o, err := openOutput("/dev/full")
	if err != nil {
		t.Fatal(err)
	}
	defer o.abort()
	if _, err := o.Write([]byte("x")); fmt.Sprint(err) != "write record /dev/full: no space left on device" {
		t.Errorf("got %v", err)
	}
}

func TestOutputRelative(t *testing.T) {
	t.Chdir(t.TempDir())
	commit(t, writeRecord(t, "record"))
	wantEntries(t, ".", "record")
}

// A record whose place was taken by a directory is reported as lost, and leaves
// nothing.
func TestOutputCommitFails(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "record")
	o := writeRecord(t, name)
	if err := os.Mkdir(name, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := o.commit(); !errors.Is(err, unix.EISDIR) || !strings.HasPrefix(err.Error(), "write record "+name+": ") {
		t.Errorf("got %v", err)
	}
	wantEntries(t, dir, "record")
}

// The directory is renamed while the command runs: the record goes with it.
func TestOutputDirectoryMoves(t *testing.T) {
	dir := t.TempDir()
	old, moved := filepath.Join(dir, "old"), filepath.Join(dir, "moved")
	if err := os.Mkdir(old, 0o755); err != nil {
		t.Fatal(err)
	}
	o := writeRecord(t, filepath.Join(old, "record"))
	if err := os.Rename(old, moved); err != nil {
		t.Fatal(err)
	}
	commit(t, o)
	wantFile(t, filepath.Join(moved, "record"), wholeRecord)
	wantEntries(t, dir, "moved")
}
