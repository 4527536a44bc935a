package tracer

import (
	"os"
	ossignal "os/signal"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// TestGoesOn: a call that is interrupted again and again is not made to wait without end.
func TestGoesOn(t *testing.T) {
	const timeout = 300 * time.Millisecond
	begin := time.Now()
	for _, test := range []struct {
		name  string
		after []time.Duration // of each interruption
		want  []bool
	}{
		{"once", []time.Duration{0}, []bool{true}},
		{"until it has waited for as long", []time.Duration{0, 100, 200, 299, 300}, []bool{true, true, true, true, false}},
		{"and then anew", []time.Duration{0, 200, 400, 401}, []bool{true, true, false, true}},
		{"another call", []time.Duration{0, 301, 500, 602}, []bool{true, true, true, false}},
	} {
		t.Run(test.name, func(t *testing.T) {
			var w restarts
			for i, ms := range test.after {
				if got := w.goesOn(1, 232, timeout, begin.Add(ms*time.Millisecond)); got != test.want[i] {
					t.Errorf("after %d ms: %v", ms, got)
				}
			}
			if !w.goesOn(2, 232, timeout, begin) || !w.goesOn(1, 233, timeout, begin) {
				t.Error("another thread, or another call, is not made to go on")
			}
		})
	}
	var w restarts
	for i := range 100 {
		if !w.goesOn(1, 232, -1, begin.Add(time.Duration(i)*time.Second)) {
			t.Fatal("a call without a timeout does not go on")
		}
	}
	for tid := range 3 * maxAgain {
		w.goesOn(tid, 232, timeout, begin)
	}
	if len(w.calls) > maxAgain {
		t.Errorf("%d threads are remembered", len(w.calls))
	}
}

// TestGroupStops: the note of them takes no more memory than that of calls.
func TestGroupStops(t *testing.T) {
	var w restarts
	for tid := range 3 * maxAgain {
		w.groupStop(tid)
	}
	if len(w.stopped) > maxAgain {
		t.Errorf("%d threads are remembered", len(w.stopped))
	}
}

func TestIgnores(t *testing.T) {
	ossignal.Ignore(unix.SIGUSR1)
	defer ossignal.Reset(unix.SIGUSR1)
	c := make(chan os.Signal, 1)
	ossignal.Notify(c, unix.SIGUSR2)
	defer ossignal.Stop(c)
	for sig, want := range map[unix.Signal]bool{unix.SIGUSR1: true, unix.SIGUSR2: false, unix.SIGTERM: false, unix.SIGKILL: false} {
		pid, got := ignores(unix.Gettid(), sig)
		if got != want || pid != unix.Getpid() {
			t.Errorf("%v of %d is ignored: %v", sig, pid, got)
		}
	}
	if _, got := ignores(1<<30, unix.SIGUSR1); got {
		t.Error("a thread that is not there ignores a signal")
	}
}

func TestSocketTimeout(t *testing.T) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(pair[0])
	defer unix.Close(pair[1])
	if err := unix.SetsockoptTimeval(pair[0], unix.SOL_SOCKET, unix.SO_RCVTIMEO, &unix.Timeval{Sec: 2}); err != nil {
		t.Fatal(err)
	}
	file := harness.OpenFile(t, harness.TempTree(t)+"/f", os.O_CREATE)
	for _, test := range []struct {
		fd, option int
		want       time.Duration
		ok         bool
	}{
		{pair[0], unix.SO_RCVTIMEO, 2 * time.Second, true},
		{pair[0], unix.SO_SNDTIMEO, -1, true},
		{pair[1], unix.SO_RCVTIMEO, -1, true},
		{int(file.Fd()), unix.SO_RCVTIMEO, -1, true},
		{-1, unix.SO_RCVTIMEO, 0, false},
	} {
		if got, ok := socketTimeout(unix.Getpid(), test.fd, test.option); got != test.want || ok != test.ok {
			t.Errorf("%d: %v %v, want %v %v", test.fd, got, ok, test.want, test.ok)
		}
	}
}
