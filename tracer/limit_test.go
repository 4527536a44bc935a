package tracer

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLimits: a command starts with the limits and the nice value that it was given, and
// what it has used is known at its end.
func TestLimits(t *testing.T) {
	nice := 7
	var out strings.Builder
	cmd := &Cmd{
		Path: "/bin/sh", Args: []string{"sh", "-c", "ulimit -Sn; ulimit -Hn; ulimit -c; nice; i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"},
		Env: []string{"PATH=/usr/bin:/bin"}, Setsid: true, Stdout: &out, Sink: &recorder{},
		Limits: []Limit{{unix.RLIMIT_NOFILE, 100, 200}, {unix.RLIMIT_CORE, 0, unix.RLIM_INFINITY}, {unix.RLIMIT_AS, 1 << 30, 1 << 30}},
		Nice:   &nice,
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	result, err := ended(cmd)
	if err != nil {
		t.Fatal(err)
	}
	var own int
	if own, err = unix.Getpriority(unix.PRIO_PROCESS, 0); err != nil || own != 20 {
		t.Errorf("this process has %d, %v", own, err)
	}
	if want := "100\n200\n0\n7\n"; out.String() != want {
		t.Errorf("it sees %q, want %q", out.String(), want)
	}
	u := result.Usage
	if u == nil || time.Duration(u.Utime.Nano()+u.Stime.Nano()) < time.Millisecond || u.Maxrss == 0 {
		t.Errorf("usage %+v", u)
	}
}

// TestLimitRefused: what cannot be set is an error, and nothing runs.
func TestLimitRefused(t *testing.T) {
	cmd := &Cmd{
		Path: "/bin/true", Args: []string{"true"}, Env: []string{}, Setsid: true, Descriptors: map[int]int{}, Sink: &recorder{},
		Limits: []Limit{{unix.RLIMIT_NOFILE, 200, 100}},
	}
	if err := cmd.Start(); err == nil {
		t.Error("it has started")
		_, _ = ended(cmd)
	}
}
