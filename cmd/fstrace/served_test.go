package main_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// needFUSE skips a test where no FUSE server can be started.
func needFUSE(t *testing.T) {
	t.Helper()
	needRoot(t, "to mount")
	if _, err := os.Stat("/dev/fuse"); err != nil {
		t.Skip("the kernel has no FUSE")
	}
}

// mountPoint makes a directory to mount at, which is unmounted with the test.
func mountPoint(t *testing.T, dir string) string {
	t.Helper()
	at := filepath.Join(dir, "mnt")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) }) // EINVAL: it is not mounted
	return at
}

// TestServedInside: a file system may be served from inside the session. Its server makes
// calls before it answers, which must be let through while a look-up waits for it.
func TestServedInside(t *testing.T) {
	needFUSE(t)
	server := testProgram(t, "incomplete/fuse")
	for _, lifecycle := range []string{"ptrace", "notify"} {
		t.Run(lifecycle, func(t *testing.T) {
			tr := &trial{dir: openDir(t), flags: []string{"--lifecycle", lifecycle}}
			at := mountPoint(t, tr.dir)
			argv := []string{server, at, "sh", "-c", `cat "$0/f" "$0/f"; test -e "$0/absent" || stat -c %s "$0/f"`, at}
			bare := tr.bare(t, argv...)
			traced, r := tr.traced(t, argv...)
			same(t, bare, traced, func(s string) string { return s })
			if traced.stdout != "content\ncontent\n8\n" {
				t.Errorf("printed %q", traced.stdout)
			}
			if !r.complete() {
				t.Errorf("incomplete: %v", r.reasons())
			}
			for path, state := range map[string]string{at + "/f": "file", at + "/absent": "absent"} {
				found := false
				for _, e := range r.Events {
					found = found || e.Path == path && e.State == state
				}
				if !found {
					t.Errorf("%s is not recorded as %s", path, state)
				}
			}
		})
	}
}

// TestUnmountedInside: a server that unmounts its own file system is not asked about it.
func TestUnmountedInside(t *testing.T) {
	needFUSE(t)
	tr := &trial{dir: openDir(t)}
	at := mountPoint(t, tr.dir)
	_, r := tr.traced(t, testProgram(t, "incomplete/fuse"), at, "sh", "-c", `! cat "$0/unmount" 2>/dev/null`, at)
	if !r.complete() {
		t.Errorf("incomplete: %v", r.reasons())
	}
}

// TestServedInsideManifest: nor does what makes a manifest wait for such a server for ever.
func TestServedInsideManifest(t *testing.T) {
	needFUSE(t)
	p := &provocation{trial: trial{dir: openDir(t)}, fstrace: fstraceBinary(t)}
	p.manifest = filepath.Join(p.dir, "manifest.json")
	at := mountPoint(t, p.dir)
	p.run(t, testProgram(t, "incomplete/fuse"), at, "sh", "-c", `cat "$0/f" && : >>"$0/f"`, at)
}

// TestKilledInLookup: fstrace can be killed while it waits for a file system whose server
// waits for fstrace, and then the server goes on.
func TestKilledInLookup(t *testing.T) {
	needFUSE(t)
	server, exe := testProgram(t, "incomplete/fuse"), fstraceBinary(t)
	dir := openDir(t)
	at := mountPoint(t, dir)
	// The command takes longer than a keeper takes to be there.
	cmd := exec.Command(exe, "--lifecycle", "notify", "-o", filepath.Join(dir, "record"), "--",
		server, at, "sh", "-c", `cat "$0/f" "$0/f"; read line; cat "$0/stop"; echo >"$0.done"`, at)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	defer func() {
		if !ended {
			syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
			cmd.Wait()
		}
	}()
	var pid int
	eventually(t, "the server is there", func() bool {
		data, err := os.ReadFile(at + ".pid")
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil && pid > 0
	})
	serving, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the keeper is there", func() bool {
		for _, p := range processes(t) {
			if p.parent == cmd.Process.Pid && p.session == p.pid {
				return true
			}
		}
		return false
	})
	if _, err := stdin.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the server stops", func() bool { return strings.HasPrefix(statusField(pid, "State"), "T") })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := unix.PidfdSendSignal(serving, unix.SIGCONT, nil, 0); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(patience, func() {
		t.Errorf("fstrace has not ended %v after SIGKILL", patience)
		_ = unix.PidfdSendSignal(serving, unix.SIGKILL, nil, 0)
	})
	cmd.Process.Wait()
	over.Stop()
	ended = true
	eventually(t, "the command has gone on", func() bool {
		_, err := os.Stat(at + ".done")
		return err == nil
	})
	gone(t, serving)
}

// TestEndBesideStuck: fstrace ends with its command, though a descendant is in a call that no
// signal ends, and says so.
func TestEndBesideStuck(t *testing.T) {
	needFUSE(t)
	server, exe := testProgram(t, "incomplete/fuse"), fstraceBinary(t)
	tr := &trial{dir: openDir(t)}
	at, file := mountPoint(t, tr.dir), filepath.Join(tr.dir, "record")
	// The server is outside the session.
	got := tr.run(t, []string{server, at, exe, "-f", "jsonl", "-o", file, "--", "sh", "-c", `cat "$0/hold" &
		until grep -q "^State:.T" /proc/$(cat "$0.pid")/status; do sleep 0.01; done; exit 3`, at})
	r := readRecord(t, file)
	if statusName(got.status) != "3" || !slices.Equal(r.reasons(), []string{"descendant_running"}) {
		t.Errorf("ended with %s, incomplete: %v", statusName(got.status), r.Trailer["incomplete"])
	}
	if !strings.Contains(got.stderr, "cat") || !strings.Contains(got.stderr, "in a call that no signal ends") {
		t.Errorf("said %q", got.stderr)
	}
}

// TestPermissionInside: a program of the session may have to allow files to be opened, those
// that fstrace opens to look for interpreters among them.
func TestPermissionInside(t *testing.T) {
	needRoot(t, "to decide who opens files")
	tr := &trial{dir: openDir(t)}
	script := filepath.Join(tr.dir, "script")
	writeExecutable(t, script, []byte("#!/bin/sh\necho ran\n"))
	argv := []string{testProgram(t, "incomplete/permission"), script}
	bare := tr.bare(t, argv...)
	if statusName(bare.status) == "77" {
		t.Skipf("the kernel has no permission events: %s", bare.stderr)
	}
	traced, r := tr.traced(t, argv...)
	same(t, bare, traced, func(s string) string { return s })
	if traced.stdout != "ran\n" || !r.complete() {
		t.Errorf("printed %q, incomplete: %v", traced.stdout, r.reasons())
	}
	found := false
	for _, e := range r.Events {
		found = found || e.Op == "exec" && e.As == "/bin/sh"
	}
	if !found {
		t.Error("the script's interpreter is not recorded")
	}
}
