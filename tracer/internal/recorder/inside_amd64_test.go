package recorder

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/seccomp"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// insideProgram builds testdata/inside.c.
func insideProgram(t *testing.T) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skip(ErrNotHere)
	}
	gcc, err := exec.LookPath("gcc")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	exe := filepath.Join(t.TempDir(), "inside")
	build := exec.Command(gcc, "-O1", "-Wall", "-Wextra", "-pthread", "-o", exe, "testdata/inside.c")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return exe
}

// A guest is a run of that program, traced by the thread that started it.
type guest struct {
	pid     int
	base    atomic.Uint64 // known when the program has printed it
	led     Led           // the same
	ring    *Ring
	counter *Counter
	tracees map[int]bool
	status  unix.WaitStatus // of the program itself, when it has ended
	ended   bool
	faults  int
	started bool
	output  bytes.Buffer
	reading sync.WaitGroup
}

// failing is the filter of a session, by which what would be notified fails with errno
// 99.
func failing(t *testing.T, key *seccomp.Key) (filter []byte) {
	t.Helper()
	abis, err := seccomp.ABIs("amd64")
	if err != nil {
		t.Fatal(err)
	}
	var rules []seccomp.Rule
	for _, name := range Calls() {
		rules = append(rules, seccomp.Rule{Syscall: name, Key: key})
	}
	program, err := seccomp.Program(abis, rules)
	if err != nil {
		t.Fatal(err)
	}
	filter = native.AppendUint64(filter, uint64(len(program)))
	const notify, fail = 0x7fc00000, 0x00050000 + 99
	for _, in := range program {
		if in == (bpf.RawInstruction{Op: 6, K: notify}) {
			in.K = fail
		}
		filter = binary.NativeEndian.AppendUint16(filter, in.Op)
		filter = append(filter, in.Jt, in.Jf)
		filter = binary.NativeEndian.AppendUint32(filter, in.K)
	}
	return filter
}

// start starts the program in a mode, with a filter if filtered. The caller's thread is
// its tracer, which the caller has locked.
func start(t *testing.T, exe, mode string, filtered bool) *guest {
	t.Helper()
	g := &guest{tracees: make(map[int]bool)}
	var err error
	if g.ring, err = NewRing(); err != nil {
		t.Fatal(err)
	}
	if g.counter, err = NewCounter(); err != nil {
		t.Fatal(err)
	}
	g.ring.Open(Absolute | Relative)
	in, inEnd := pipe(t)
	outEnd, out := pipe(t)
	g.pid, err = syscall.ForkExec(exe, []string{exe, mode}, &syscall.ProcAttr{
		Files: []uintptr{in.Fd(), out.Fd(), out.Fd(), uintptr(g.ring.FD()), uintptr(g.counter.FD())},
		Env:   os.Environ(), Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	in.Close()
	out.Close()
	if err != nil {
		t.Fatal(err)
	}
	g.tracees[g.pid] = true
	key := seccomp.Key(rand.Uint64())
	filter := make([]byte, 8)
	if filtered {
		filter = failing(t, &key)
	}
	g.reading.Add(1)
	go func() {
		defer g.reading.Done()
		defer outEnd.Close()
		defer inEnd.Close()
		r := bufio.NewReader(outEnd)
		line, err := r.ReadString('\n')
		if err == nil {
			var base uint64
			_, err = fmt.Sscanf(line, "%x %x %x\n", &base, &g.led.Site, &g.led.Gap)
			g.base.Store(base)
		}
		image, imageErr := Image(key, g.base.Load())
		if err = errors.Join(err, imageErr); err == nil {
			_, err = inEnd.Write(slices.Concat(image, g.detour(), filter))
		}
		if err != nil {
			fmt.Fprintf(&g.output, "%q: %v\n", line, err)
		}
		_, _ = io.Copy(&g.output, r)
	}()
	return g
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	return r, w
}

// wait waits for a stop of the program or of its children that is not the tracer's to
// answer, and answers the others: the ones of tracing, faults of the recorder, signals.
// It returns 0 when there are no tracees any more.
func (g *guest) wait(t *testing.T) (tid int) {
	t.Helper()
	for len(g.tracees) > 0 {
		var ws unix.WaitStatus
		tid, err := unix.Wait4(-1, &ws, unix.WALL|unix.WNOTHREAD, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if ws.Exited() || ws.Signaled() {
			delete(g.tracees, tid)
			if tid == g.pid {
				g.status, g.ended = ws, true
			}
			continue
		}
		known := g.tracees[tid]
		g.tracees[tid] = true
		sig := ws.StopSignal()
		switch {
		case !g.started && tid == g.pid: // its exec
			g.started = true
			const options = unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_EXITKILL
			if err := unix.PtraceSetOptions(tid, options); err != nil {
				t.Fatal(err)
			}
			sig = 0
		case ws.TrapCause() > 0, !known && sig == unix.SIGSTOP:
			sig = 0
		case sig == unix.SIGTRAP:
			return tid
		case sig == unix.SIGSEGV || sig == unix.SIGBUS:
			if g.fix(t, tid) {
				g.faults++
				sig = 0
			}
		}
		_ = unix.PtraceCont(tid, int(sig)) // ESRCH: killed since
	}
	return 0
}

// fix has a thread go on where the recorder wants it to after a fault.
func (g *guest) fix(t *testing.T, tid int) bool {
	t.Helper()
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(tid, &regs); err != nil {
		return false
	}
	then, ok := After(g.base.Load(), regs.Rip)
	if ok {
		regs.Rip = then
		if err := unix.PtraceSetRegs(tid, &regs); err != nil {
			t.Error(err)
		}
	}
	return ok
}

// end waits for the program's end and returns what it has printed.
func (g *guest) end(t *testing.T) string {
	t.Helper()
	for tid := g.wait(t); tid != 0; tid = g.wait(t) {
		_ = unix.PtraceCont(tid, 0)
	}
	g.reading.Wait()
	return g.output.String()
}

func (g *guest) close() {
	_ = g.ring.Close()
	_ = g.counter.Close()
}

// onTracer runs f on a thread that traces.
func onTracer(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // never unlocked: what f leaves behind ends with the thread
		defer close(done)
		f()
	}()
	<-done
}

// TestInside runs the modes that check themselves.
func TestInside(t *testing.T) {
	exe := insideProgram(t)
	for _, mode := range []string{"registers", "aliases", "faults", "guard"} {
		t.Run(mode, func(t *testing.T) {
			onTracer(func() {
				g := start(t, exe, mode, false)
				defer g.close()
				done, drained := make(chan struct{}), make(chan struct{})
				go func() { // so that there are free slots
					defer close(drained)
					for {
						if _, err := tryDrained(g.ring, g.counter); err != nil {
							t.Error(err)
						}
						select {
						case <-done:
							return
						default:
							runtime.Gosched()
						}
					}
				}()
				if out := g.end(t); out != "done\n" || g.status != 0 {
					t.Errorf("status %#x\n%s", g.status, out)
				}
				close(done)
				<-drained
				if needs := mode == "faults" || mode == "guard"; needs != (g.faults > 0) {
					t.Errorf("%d faults", g.faults)
				}
			})
		})
	}
}

// TestStorm has calls recorded under a filter and a timer of 5 kHz, and drains beside:
// each is either given by Drain or was notified.
func TestStorm(t *testing.T) {
	exe := insideProgram(t)
	g := &guest{}
	var out string
	started, ended := make(chan *guest), make(chan struct{})
	go onTracer(func() {
		defer close(ended)
		g := start(t, exe, "storm", true)
		started <- g
		out = g.end(t)
	})
	g = <-started
	defer g.close()
	count := make(map[string]int)
	drain := func() {
		for _, rec := range drained(t, g.ring, g.counter) {
			if rec.Returned {
				count[string(rec.Path)]++
			}
		}
	}
	for running := true; running; {
		select {
		case <-ended:
			running = false
		default:
			runtime.Gosched()
		}
		drain()
	}
	var ofMain, ofHandler, calls, handled int
	if _, err := fmt.Sscanf(out, "recorded %d %d of %d %d\ndone\n", &ofMain, &ofHandler, &calls, &handled); err != nil || g.status != 0 {
		t.Fatalf("status %#x, %v\n%s", g.status, err, out)
	}
	if count["/etc/passwd"] != ofMain || count["/etc/hostname"] != ofHandler {
		t.Errorf("%v recorded, the program says %d and %d", count, ofMain, ofHandler)
	}
	if ofMain < 20000 || ofHandler < 20 {
		t.Errorf("%s: nothing was tested", out)
	}
	t.Logf("%s", out)
}

// step has the program go to the call that it is about to make, and then n instructions
// on. It returns the offset in the recorder's code at which it is; -1 for outside.
func (g *guest) step(t *testing.T, n int) int {
	t.Helper()
	if g.wait(t) != g.pid {
		t.Fatalf("it has ended: %s", g.end(t))
	}
	for range n {
		if err := unix.PtraceSingleStep(g.pid); err != nil {
			t.Fatal(err)
		}
		if tid := g.wait(t); tid != g.pid {
			t.Fatal("stepped into its end")
		}
	}
	var regs unix.PtraceRegs
	if err := unix.PtraceGetRegs(g.pid, &regs); err != nil {
		t.Fatal(err)
	}
	if at := regs.Rip - g.base.Load(); at < pageSize {
		return int(at)
	}
	return -1
}

// where says how far a recorded call has come at an offset in the code.
type progress int

const (
	notBegun progress = iota
	begun
	called // the kernel has made the call
	answered
)

// TestEachInstruction has something happen to a process at each instruction of a recorded
// call: SIGKILL; a signal whose handler makes a call itself, never returns, or forks, in
// which case parent and child come back into the call.
func TestEachInstruction(t *testing.T) {
	exe := insideProgram(t)
	p, err := loadProgram()
	if err != nil {
		t.Fatal(err)
	}
	for _, mode := range []string{"kill", "handler-call", "handler-jump", "handler-fork", "handler-fork-bare", "readlink"} {
		t.Run(mode, func(t *testing.T) {
			seen := make(map[progress]int)
			faults := 0
			for n := 0; ; n++ {
				var at int
				onTracer(func() {
					program := mode
					switch mode {
					case "kill":
						program = "handler-call"
					case "handler-fork-bare":
						program = "handler-fork"
					}
					g := start(t, exe, program, mode != "handler-fork-bare")
					defer g.close()
					at = g.step(t, n)
					how := progressAt(p, at, seen[answered] > 0)
					seen[how]++
					g.happen(t, mode, how, fmt.Sprintf("%s, instruction %d at %#x", mode, n, at))
					faults += g.faults
				})
				if t.Failed() || at < 0 && seen[answered] > 0 {
					break
				}
			}
			for _, how := range []progress{notBegun, begun, called, answered} {
				if seen[how] == 0 {
					t.Errorf("nothing happened at progress %d: %v", how, seen)
				}
			}
			if (faults > 0) != strings.HasPrefix(mode, "handler-fork") {
				t.Errorf("%d faults", faults)
			}
			t.Logf("%v, %d faults", seen, faults)
		})
	}
}

func progressAt(p *program, at int, over bool) progress {
	switch {
	case at < 0 && over:
		return answered
	case at < p.begun:
		return notBegun
	case at < p.behind:
		return begun
	case at < p.closingEnd:
		return called
	}
	return answered
}

// happen has it happen, and checks what comes of it.
func (g *guest) happen(t *testing.T, mode string, how progress, label string) {
	t.Helper()
	sig := unix.SIGUSR1
	if mode == "kill" {
		sig = unix.SIGKILL
	}
	if err := unix.PtraceCont(g.pid, int(sig)); err != nil {
		t.Fatal(err)
	}
	if mode == "kill" {
		if err := unix.Kill(g.pid, unix.SIGKILL); err != nil && err != unix.ESRCH {
			t.Fatal(err)
		}
	}
	out := g.end(t)
	if strings.HasPrefix(mode, "handler-fork") {
		// What the child has called is notified, if it was not the parent who did.
		result, rest, _ := strings.Cut(out, "\n")
		if mode == "handler-fork" && how < called && result != "child -99" || result != "child -99" && result != "child 0" {
			t.Errorf("%s: %s", label, result)
		}
		out = rest
	}
	if mode == "kill" {
		if !g.status.Signaled() {
			t.Errorf("%s: status %#x", label, g.status)
		}
	} else if out != "done\n" || g.status != 0 {
		t.Errorf("%s: status %#x\n%s", label, g.status, out)
	}
	var got []string
	for _, rec := range drained(t, g.ring, g.counter) {
		what := filepath.Base(string(rec.Path))
		if !rec.Returned {
			what += " begun"
		} else if mode != "readlink" && !rec.HasInfo {
			what += " untold"
		}
		got = append(got, what)
	}
	slices.Sort(got)
	if want := expectedRecords(mode, how); !slices.Equal(got, want) {
		t.Errorf("%s: recorded %s, want %s", label, strings.Join(got, ", "), strings.Join(want, ", "))
	}
}

// expectedRecords says which calls a program must have recorded to which something has
// happened when its call was that far.
func expectedRecords(mode string, how progress) []string {
	switch {
	case mode == "handler-call", mode == "readlink":
		return []string{"hostname", "passwd"}
	case mode == "handler-fork", mode == "handler-fork-bare":
		return []string{"passwd"}
	}
	var want []string
	if mode == "handler-jump" {
		want = []string{"group"}
	}
	switch how {
	case begun, called:
		want = append(want, "passwd begun")
	case answered:
		want = append(want, "passwd")
	case notBegun:
	}
	return want
}
