package record

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

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

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
// calls before it answers, which must be continued while a look-up waits for it.
func TestServedInside(t *testing.T) {
	harness.NeedFUSE(t)
	server := harness.BuildC(t, "gcc", "incomplete/fuse", "-pthread")
	for _, lifecycle := range []string{"ptrace", "notify"} {
		t.Run(lifecycle, func(t *testing.T) {
			tr := &harness.Trial{Dir: harness.OpenDir(t), Flags: []string{"--lifecycle", lifecycle}}
			at := mountPoint(t, tr.Dir)
			argv := []string{server, at, "sh", "-c", `cat "$0/f" "$0/f"; test -e "$0/absent" || stat -c %s "$0/f"`, at}
			bare := tr.Bare(t, argv...)
			traced, r := tr.Traced(t, argv...)
			harness.Same(t, bare, traced, func(s string) string { return s })
			if traced.Stdout != "content\ncontent\n8\n" {
				t.Errorf("printed %q", traced.Stdout)
			}
			if !r.Complete() {
				t.Errorf("incomplete: %v", r.Reasons())
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
	harness.NeedFUSE(t)
	tr := &harness.Trial{Dir: harness.OpenDir(t)}
	at := mountPoint(t, tr.Dir)
	_, r := tr.Traced(t, harness.BuildC(t, "gcc", "incomplete/fuse", "-pthread"), at, "sh", "-c", `! cat "$0/unmount" 2>/dev/null`, at)
	if !r.Complete() {
		t.Errorf("incomplete: %v", r.Reasons())
	}
}

// TestServedInsideManifest: nor does what makes a manifest wait for such a server for
// ever.
func TestServedInsideManifest(t *testing.T) {
	harness.NeedFUSE(t)
	p := &provocation{Trial: harness.Trial{Dir: harness.OpenDir(t)}, fstrace: harness.Fstrace(t)}
	p.manifest = filepath.Join(p.Dir, "manifest.json")
	at := mountPoint(t, p.Dir)
	p.run(t, harness.BuildC(t, "gcc", "incomplete/fuse", "-pthread"), at, "sh", "-c", `cat "$0/f" && : >>"$0/f"`, at)
}

// TestKilledInLookup: fstrace can be killed while it waits for a file system whose server
// waits for fstrace, and then the server goes on.
func TestKilledInLookup(t *testing.T) {
	harness.NeedFUSE(t)
	server, exe := harness.BuildC(t, "gcc", "incomplete/fuse", "-pthread"), harness.Fstrace(t)
	dir := harness.OpenDir(t)
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
	harness.Eventually(t, "the server is there", func() bool {
		data, err := os.ReadFile(at + ".pid")
		pid, _ = strconv.Atoi(strings.TrimSpace(string(data)))
		return err == nil && pid > 0
	})
	serving, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the keeper is there", func() bool {
		for _, p := range harness.Processes(t) {
			if p.Parent == cmd.Process.Pid && p.Session == p.PID {
				return true
			}
		}
		return false
	})
	if _, err := stdin.Write([]byte("go on\n")); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "the server stops", func() bool { return strings.HasPrefix(harness.StatusField(pid, "State"), "T") })
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := unix.PidfdSendSignal(serving, unix.SIGCONT, nil, 0); err != nil {
		t.Fatal(err)
	}
	over := time.AfterFunc(harness.Patience, func() {
		t.Errorf("fstrace has not ended %v after SIGKILL", harness.Patience)
		_ = unix.PidfdSendSignal(serving, unix.SIGKILL, nil, 0)
	})
	cmd.Process.Wait()
	over.Stop()
	ended = true
	harness.Eventually(t, "the command has gone on", func() bool {
		_, err := os.Stat(at + ".done")
		return err == nil
	})
	harness.Gone(t, serving)
}

// TestEndBesideStuck: fstrace ends with its command, though a descendant is in a call
// that no signal ends, and says so.
func TestEndBesideStuck(t *testing.T) {
	harness.NeedFUSE(t)
	server, exe := harness.BuildC(t, "gcc", "incomplete/fuse", "-pthread"), harness.Fstrace(t)
	tr := &harness.Trial{Dir: harness.OpenDir(t)}
	at, file := mountPoint(t, tr.Dir), filepath.Join(tr.Dir, "record")
	// The server is outside the session.
	got := tr.Run(t, []string{server, at, exe, "-f", "jsonl", "-o", file, "--", "sh", "-c", `cat "$0/hold" &
		until grep -q "^State:.T" /proc/$(cat "$0.pid")/status; do sleep 0.01; done; exit 3`, at})
	r := harness.ReadRecord(t, file)
	if harness.StatusName(got.Status) != "3" || !slices.Equal(r.Reasons(), []string{"descendant_running"}) {
		t.Errorf("ended with %s, incomplete: %v", harness.StatusName(got.Status), r.Trailer["incomplete"])
	}
	if !strings.Contains(got.Stderr, "cat") || !strings.Contains(got.Stderr, "in a call that no signal ends") {
		t.Errorf("said %q", got.Stderr)
	}
}

// TestPermissionInside: a program of the session may have to allow files to be opened,
// those that fstrace opens to look for interpreters among them.
func TestPermissionInside(t *testing.T) {
	harness.NeedRoot(t, "to decide who opens files")
	tr := &harness.Trial{Dir: harness.OpenDir(t)}
	script := filepath.Join(tr.Dir, "script")
	harness.WriteExecutable(t, script, []byte("#!/bin/sh\necho ran\n"))
	argv := []string{harness.BuildC(t, "gcc", "incomplete/permission", "-pthread"), script}
	bare := tr.Bare(t, argv...)
	if harness.StatusName(bare.Status) == "77" {
		t.Skipf("the kernel has no permission events: %s", bare.Stderr)
	}
	traced, r := tr.Traced(t, argv...)
	harness.Same(t, bare, traced, func(s string) string { return s })
	if traced.Stdout != "ran\n" || !r.Complete() {
		t.Errorf("printed %q, incomplete: %v", traced.Stdout, r.Reasons())
	}
	found := false
	for _, e := range r.Events {
		found = found || e.Op == "exec" && e.As == "/bin/sh"
	}
	if !found {
		t.Error("the script's interpreter is not recorded")
	}
}
