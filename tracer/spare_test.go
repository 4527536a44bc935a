package tracer

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// awaiting returns the process that a Spare has ready.
func awaiting(t *testing.T, s *Spare) (pid int) {
	t.Helper()
	harness.Eventually(t, "a process that waits", func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.ready != nil {
			pid = s.ready.pid
		}
		return pid != 0
	})
	return pid
}

// apart runs a script as fstraced does, and returns what it writes.
func apart(t *testing.T, s *Spare, script string) (pid int, out string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out")
	f := harness.OpenFile(t, path, os.O_RDWR|os.O_CREATE)
	mask, nice := 0o27, 3
	c := shell(t, script)
	c.Env, c.Dir, c.Umask, c.Nice, c.Setsid, c.Spare = []string{"A=b", "PATH=" + os.Getenv("PATH")}, "/usr", &mask, &nice, true, s
	c.Descriptors = map[int]int{0: int(f.Fd()), 1: int(f.Fd()), 2: int(f.Fd()), 3: int(f.Fd())}
	c.Limits = []Limit{{Resource: unix.RLIMIT_NOFILE, Soft: 77, Hard: 99}}
	runTrace(t, c)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return c.Pid(), strings.ReplaceAll(string(b), path, "OUT")
}

// TestSpare: a command starts in the process that waited with what it starts with in one
// of its own.
func TestSpare(t *testing.T) {
	needTracing(t)
	script := `env | sort | grep -v ^_=; pwd -P; umask; nice; ulimit -n; ulimit -Hn
grep -E '^(Sig(Pnd|Blk|Ign|Cgt)|ShdPnd|Seccomp|NoNewPrivs|Uid|Gid|Groups):' /proc/self/status
ls /proc/$$/fd; readlink /proc/$$/fd/0 /proc/$$/fd/1 /proc/$$/fd/2 /proc/$$/fd/3
cut -d' ' -f5-7 /proc/$$/stat | sed "s/\<$$\>/self/g"; cat /proc/$$/timerslack_ns`
	s := new(Spare)
	defer s.Close()
	_, want := apart(t, s, script)
	for range 3 {
		waiting := awaiting(t, s)
		pid, got := apart(t, s, script)
		if pid != waiting {
			t.Fatalf("the command is process %d, %d waited", pid, waiting)
		}
		if got != want {
			t.Fatalf("in a process that waited:\n%s\nin one of its own:\n%s", got, want)
		}
	}
	if !strings.Contains(want, "self self 0") || !strings.Contains(want, "OUT\nOUT\nOUT\nOUT\nself") {
		t.Errorf("the script wrote %s", want)
	}
}

// TestSpareKilled: somebody kills the process that waits.
func TestSpareKilled(t *testing.T) {
	needTracing(t)
	s := new(Spare)
	defer s.Close()
	apart(t, s, "true")
	waiting := awaiting(t, s)
	if err := unix.Kill(waiting, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	fd := s.ready.pidfd
	s.mu.Unlock()
	if !endsWithin(fd, 10*time.Second) {
		t.Fatal("it does not end")
	}
	if pid, out := apart(t, s, "echo x"); pid == waiting || out != "x\n" {
		t.Errorf("process %d wrote %q", pid, out)
	}
}

// TestSpareServes: what it serves, it serves as described.
func TestSpareServes(t *testing.T) {
	s, given := new(Spare), map[int]int{}
	for name, test := range map[string]struct {
		cmd   *Cmd
		files []uintptr
		want  bool
	}{
		"usual":          {&Cmd{Setsid: true, Descriptors: given}, []uintptr{4, 4, 5}, true},
		"none":           {&Cmd{Setsid: true, Descriptors: given}, nil, true},
		"not described":  {&Cmd{Setsid: true}, []uintptr{4, 4, 5}, false},
		"no session":     {&Cmd{Descriptors: given}, []uintptr{4, 4, 5}, false},
		"adopted":        {&Cmd{Setsid: true, Descriptors: given, Adopt: new(Launch)}, nil, false},
		"inherited":      {&Cmd{Setsid: true, Descriptors: given, InheritFiles: true}, []uintptr{0, 1, 2}, false},
		"a gap":          {&Cmd{Setsid: true, Descriptors: given}, []uintptr{4, 4, 5, closedFD, 6}, false},
		"up to 9":        {&Cmd{Setsid: true, Descriptors: given}, make([]uintptr, 10), true},
		"the socket's":   {&Cmd{Setsid: true, Descriptors: given}, make([]uintptr, 11), false},
		"none is set up": {&Cmd{Setsid: true, Descriptors: given}, []uintptr{4}, false},
	} {
		spare := s
		if name == "none is set up" {
			spare = nil
		}
		if got := spare.serves(test.cmd, test.files); got != test.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// TestSpareClose: the process that waits ends, and no other is started.
func TestSpareClose(t *testing.T) {
	needTracing(t)
	s := new(Spare)
	apart(t, s, "true")
	waiting := awaiting(t, s)
	s.Close()
	if err := unix.Kill(waiting, 0); err != unix.ESRCH {
		t.Errorf("after Close process %d: %v", waiting, err)
	}
	apart(t, s, "true")
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ready != nil || s.starting {
		t.Error("a process was started after Close")
	}
}
