package tracer

import (
	"bytes"
	"io"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestSetsid: a command with Setsid has a session, a group and a mask of its
// own, the descriptors that were named, and no signal ignored or blocked.
func TestSetsid(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	mask := 0o26
	const script = `umask; cut -d' ' -f1,5,6 /proc/$$/stat; grep -e SigBlk -e SigIgn /proc/$$/status | cut -f2; test -e /proc/$$/fd/4 || echo no 4`
	cmd := &Cmd{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"},
		Setsid: true, Umask: &mask, Descriptors: map[int]int{1: int(w.Fd()), 2: 2, 5: int(w.Fd())}, Sink: &recorder{},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := ended(cmd); err != nil {
		t.Fatal(err)
	}
	pid := strconv.Itoa(cmd.Pid())
	want := "0026\n" + strings.Join([]string{pid, pid, pid}, " ") + "\n0000000000000000\n0000000000000000\nno 4\n"
	if string(out) != want {
		t.Errorf("it sees\n%swant\n%s", out, want)
	}
}

// TestSignalGroup: the whole group gets the signal, and nobody else.
func TestSignalGroup(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	const script = `trap 'exit 9' USR1; sh -c 'echo ready; exec >&-; exec sleep 1000' & exec >&-; wait`
	cmd := &Cmd{
		Path: "/bin/sh", Args: []string{"sh", "-c", script}, Env: []string{"PATH=/usr/bin:/bin"},
		Setsid: true, WaitFor: WaitAll, Descriptors: map[int]int{1: int(w.Fd())}, Sink: &recorder{},
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, []byte("ready\n")) {
		t.Fatalf("%q, %v", got, err)
	}
	// WaitAll: the session ends only if the others have got it too.
	if err := cmd.SignalGroup(unix.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	result, err := ended(cmd)
	if err != nil || result.Status.ExitStatus() != 9 {
		t.Errorf("%+v, %v", result, err)
	}
}

// TestCmdCancel: as a timeout that comes now.
func TestCmdCancel(t *testing.T) {
	for _, c := range []struct {
		script string
		grace  time.Duration
		ending Ending
	}{
		{"trap 'exit 4' TERM; echo ready; while :; do sleep 0.01; done", time.Hour, EndedAfterTerm},
		{"trap '' TERM; echo ready; while :; do sleep 0.01; done", time.Millisecond, EndedByKill},
	} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		cmd := &Cmd{Path: "/bin/sh", Args: []string{"sh", "-c", c.script}, Stdout: w, Sink: &recorder{}}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if _, err := r.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		cmd.Cancel(c.grace)
		result, err := ended(cmd)
		if err != nil || result.Ending != c.ending {
			t.Errorf("%q: %+v, %v", c.script, result, err)
		}
	}
}
