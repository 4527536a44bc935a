package tracer

import (
	"errors"
	"fmt"
	"os"
	signals "os/signal"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/shim"
	"github.com/fstrace/fstrace/tracer/internal/sys"
	"golang.org/x/sys/unix"
)

// A keeper is a process that also holds the listener, and does nothing as long as the
// supervisor lives. A filter cannot be removed: when the last descriptor of its listener
// is closed, each file call of each process that has the filter fails. So the keeper
// continues the calls when the supervisor has ended and descendants of the command have
// not, or when the supervisor was killed.
//
// Its socket, which no other process holds, reports the supervisor's end.
//
// Tracees are killed with the supervisor. So the process is started when something would
// survive it (need), and otherwise a moment after the command (startLater): most commands
// of a build have ended by then.
type keeper struct {
	listener int
	shared   int      // a memfd that holds lastID
	lastID   *uint64  // the receiver's last notification
	heldIDs  []uint64 // others that are received and not answered; 0 for none

	mu      sync.Mutex
	process *os.Process // nil before it is started, and at the end
	socket  int         // the supervisor's end
	over    bool
	timer   *time.Timer
	closed  chan struct{}
}

// keeperDelay is how long a command may run without a keeper.
const keeperDelay = 30 * time.Millisecond

func newKeeper(listener int) (*keeper, error) {
	fd, err := unix.MemfdCreate("fstrace-last-id", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("share with keeper: %w", err)
	}
	k := &keeper{listener: listener, shared: fd, socket: -1, closed: make(chan struct{})}
	var words []uint64
	if err = unix.Ftruncate(fd, 8*sharedWords); err == nil {
		words, err = sys.MapWords(fd, sharedWords)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("share with keeper: %w", err)
	}
	k.lastID, k.heldIDs = &words[0], words[1:]
	return k, nil
}

// sharedWords is how many numbers of notifications the keeper can get: those of most
// hands there ever are.
const sharedWords = 1 << 8

// slot returns where a hand notes the call that it looks after, nil for no place.
func (k *keeper) slot(hand int) *uint64 {
	if hand < len(k.heldIDs) {
		return &k.heldIDs[hand]
	}
	return nil
}

// last returns the receiver's last notification.
func (k *keeper) last() uint64 { return atomic.LoadUint64(k.lastID) }

// startLater starts the process if the session lasts. If that cannot be done then,
// need will say so.
func (k *keeper) startLater() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.over {
		k.timer = time.AfterFunc(keeperDelay, func() { _ = k.need() })
	}
}

// need starts the keeper if it does not run. It must not be called on the tracer thread,
// whose children are the command's.
func (k *keeper) need() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.process != nil || k.over {
		return nil
	}
	return k.start()
}

// start starts the process and gives it the listener. The process need not have
// begun to run: what is in the socket holds the listener already.
func (k *keeper) start() error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("start keeper: socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "keeper")
	defer theirs.Close()
	if err := shim.SendDescriptors(pair[0], shim.ReplyListener, k.listener, k.shared); err != nil {
		unix.Close(pair[0])
		return fmt.Errorf("hand listener to keeper: %w", err)
	}
	p, err := k.fork(theirs)
	if err != nil {
		unix.Close(pair[0])
		return fmt.Errorf("start keeper: %w", err)
	}
	k.process, k.socket = p, pair[0]
	return nil
}

// fork starts the process, on a thread that lasts as long as this process does, or the
// keeper: when it ends the keeper gets supervisorEnded.
func (k *keeper) fork(theirs *os.File) (p *os.Process, err error) {
	const socket = 3
	forked := make(chan struct{})
	go func() {
		runtime.LockOSThread()
		argv := []string{keeperName, strconv.Itoa(socket), strconv.Itoa(unix.Gettid())}
		p, err = os.StartProcess("/proc/self/exe", argv, &os.ProcAttr{
			Dir:   "/",
			Env:   shim.RuntimeSettings(),
			Files: []*os.File{nil, nil, nil, theirs},
			// A session of its own: the terminal's signals are not for it.
			Sys: &syscall.SysProcAttr{Setsid: true, Pdeathsig: supervisorEnded},
		})
		failed := err != nil
		close(forked)
		if !failed {
			<-k.closed
		}
	}()
	<-forked
	return p, err
}

// supervisorEnded is what the keeper gets when the supervisor is killed. That its socket
// is closed may come later, or never: a thread of the supervisor may be waiting for a
// file system, which is served by a process whose calls nobody lets through any more. The
// signal is one that does no harm before the keeper awaits it.
const supervisorEnded = unix.SIGWINCH

// dismiss ends the keeper. No process must have the filter any more.
func (k *keeper) dismiss() {
	if p := k.end(); p != nil {
		_ = p.Kill() // by pidfd; gone already is as good
		_, _ = p.Wait()
	}
	k.close()
}

// await waits until a keeper that is not needed any more has ended by itself. The socket
// must stay open until then: otherwise the keeper would look for calls that a killed
// supervisor has left.
func (k *keeper) await() {
	p := k.end()
	k.close()
	if p != nil {
		_, _ = p.Wait()
	}
}

// end returns the process, if there is one; there will be none from now on.
func (k *keeper) end() *os.Process {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.over = true
	if k.timer != nil {
		k.timer.Stop()
	}
	return k.process
}

func (k *keeper) close() {
	close(k.closed)
	if k.socket >= 0 {
		unix.Close(k.socket)
	}
	_ = sys.UnmapWords(k.lastID, sharedWords)
	unix.Close(k.shared)
}

// keeperName is what this binary is executed under, as argv[0], to be a keeper. The
// second argument is the number of its socket, the third the thread whose end the signal
// reports of.
const keeperName = "fstrace-keeper"

// init makes this process the keeper that it was started to be. It happens here, not
// in main, so that each program that uses this package has its keepers.
func init() {
	if len(os.Args) != 3 || os.Args[0] != keeperName {
		return
	}
	socket, err := strconv.Atoi(os.Args[1])
	thread, err2 := strconv.Atoi(os.Args[2])
	if err == nil && err2 == nil {
		runKeeper(socket, thread)
		unix.Exit(0)
	}
}

// runKeeper is the keeper's process.
func runKeeper(socket, thread int) {
	unix.CloseOnExec(socket)
	_ = os.WriteFile("/proc/self/comm", []byte(keeperName), 0) // for top(1): it was executed as "exe"
	// What the supervisor was started with is the command's: a pipe must end without us.
	if kept, err := KeptDescriptors(); err == nil {
		for _, fd := range kept {
			unix.Close(fd)
		}
	}
	var b [1]byte
	n, fds, err := receiveDescriptors(socket, b[:])
	if err != nil || n == 0 || len(fds) != 2 {
		return // the supervisor failed before there was a listener
	}
	words, err := sys.MapWords(fds[1], sharedWords)
	if err != nil {
		words = make([]uint64, 1)
	}
	unix.Close(fds[1])
	awaitSupervisor(socket, thread)
	l, err := seccomp.NewListener(fds[0])
	if err != nil {
		return
	}
	freeReceived(l, words)
	keepThrough(l)
}

// awaitSupervisor waits until the supervisor has ended. The signal may have come before
// it was awaited: then the thread that it reports is gone, or about to be.
func awaitSupervisor(socket, thread int) {
	ended := make(chan os.Signal, 1)
	signals.Notify(ended, supervisorEnded)
	defer signals.Stop(ended)
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		var b [1]byte
		for { // nothing more is ever sent
			if _, err := unix.Read(socket, b[:]); err != unix.EINTR {
				return
			}
		}
	}()
	// A thread that has sent its signal ends at once, unless the machine is busy.
	const first, last = time.Millisecond, time.Second
	look := time.NewTimer(first)
	defer look.Stop()
	for next := 2 * first; isThread(os.Getppid(), thread); next *= 2 {
		select {
		case <-ended:
			return
		case <-closed:
			return
		case <-look.C:
			if next <= last {
				look.Reset(next)
			}
		}
	}
}

// isThread reports whether a process has a thread that has not ended.
func isThread(pid, tid int) bool {
	if unix.Access(fmt.Sprintf("/proc/%d/task/%d", pid, tid), unix.F_OK) != nil {
		return false
	}
	state := procfs.State(tid)
	return state != 0 && state != 'Z' && state != 'X'
}

// freeReceived continues the calls that the supervisor had received and not answered when
// it was killed, because they are not delivered again. The supervisor stores the id of
// each notification before it handles it, so they are among the last few ids, or among
// those that it has noted because they take long.
func freeReceived(l *seccomp.Listener, words []uint64) {
	const few = 8
	last := atomic.LoadUint64(&words[0])
	for id := last - few; id != last+few; id++ {
		_ = l.Continue(id) // ErrGone for all that wait no more
	}
	for i := range words[1:] {
		if id := atomic.LoadUint64(&words[1+i]); id != 0 {
			_ = l.Continue(id)
		}
	}
}

// keepThrough continues every call until no thread has the filter.
func keepThrough(l *seccomp.Listener) {
	var n seccomp.Notification
	for {
		// Older kernels do not wake a receiver at the end: poll does on all.
		if !l.WaitCall() {
			return
		}
		if err := l.Receive(&n); err != nil {
			if errors.Is(err, seccomp.ErrHangup) {
				return
			}
			time.Sleep(time.Millisecond) // out of memory, say: giving up would be worse
			continue
		}
		_ = l.Continue(n.ID)
	}
}
