package tracer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fstrace/fstrace/seccomp"
	"github.com/fstrace/fstrace/tracer/shim"
	"golang.org/x/sys/unix"
)

// A keeper is a process that holds the listener as well, and does nothing as long
// as the supervisor lives. A filter cannot be removed: when the last descriptor of
// its listener is closed, each file call of each process that has it fails. So
// somebody must go on letting calls through when the supervisor has ended and
// descendants of the command have not, or when the supervisor was killed.
//
// It is told of the supervisor's end by its socket, which nobody else holds.
//
// What ptrace follows dies with the supervisor. So the process is started when there
// is something that would not (need), and else a moment after the command
// (startLater): most commands of a build have ended by then.
type keeper struct {
	listener int
	shared   int     // a memfd that holds lastID
	lastID   *uint64 // the receiver's last notification

	mu      sync.Mutex
	process *os.Process // nil before it is started, and at the end
	socket  int         // the supervisor's end
	over    bool
	timer   *time.Timer
}

// keeperDelay is how long a command may run without a keeper.
const keeperDelay = 30 * time.Millisecond

func newKeeper(listener int) (*keeper, error) {
	fd, err := unix.MemfdCreate("fstrace-last-id", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("share with keeper: %w", err)
	}
	k := &keeper{listener: listener, shared: fd, socket: -1}
	if err = unix.Ftruncate(fd, 8); err == nil {
		k.lastID, err = mapWord(fd)
	}
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("share with keeper: %w", err)
	}
	return k, nil
}

// startLater starts the process if the session lasts. If that cannot be done then,
// need will say so.
func (k *keeper) startLater() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if !k.over {
		k.timer = time.AfterFunc(keeperDelay, func() { _ = k.need() })
	}
}

// need sees to it that the process is there. It must not be called on the tracer
// thread, whose children are the command's.
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
	const socket = 3
	p, err := os.StartProcess("/proc/self/exe", []string{keeperName, strconv.Itoa(socket)}, &os.ProcAttr{
		Dir:   "/",
		Env:   shim.RuntimeSettings(),
		Files: []*os.File{nil, nil, nil, theirs},
		// A session of its own: the terminal's signals are not for it.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		unix.Close(pair[0])
		return fmt.Errorf("start keeper: %w", err)
	}
	k.process, k.socket = p, pair[0]
	return nil
}

// dismiss ends the keeper: no process has the filter any more.
func (k *keeper) dismiss() {
	if p := k.end(); p != nil {
		_ = p.Kill() // by pidfd; gone already is as good
		_, _ = p.Wait()
	}
	k.close()
}

// await waits for the end of a keeper that is not needed any more: it sees that by
// itself. Until then it has the socket: were that closed earlier, it would look for
// calls left over by a supervisor that still answers.
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
	if k.socket >= 0 {
		unix.Close(k.socket)
	}
	_ = unmapWord(k.lastID)
	unix.Close(k.shared)
}

// keeperName is what this binary is executed under, as argv[0], to be a keeper. The
// second argument is the number of its socket.
const keeperName = "fstrace-keeper"

// init makes this process the keeper that it was started to be. It happens here, not
// in main, so that each program that uses this package has its keepers.
func init() {
	if len(os.Args) != 2 || os.Args[0] != keeperName {
		return
	}
	if socket, err := strconv.Atoi(os.Args[1]); err == nil {
		runKeeper(socket)
		unix.Exit(0)
	}
}

// runKeeper is the keeper's process.
func runKeeper(socket int) {
	unix.CloseOnExec(socket)
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
	last, err := mapWord(fds[1])
	if err != nil {
		last = new(uint64)
	}
	unix.Close(fds[1])
	// Nothing more is ever sent: this returns when the supervisor has ended.
	for {
		if _, err := unix.Read(socket, b[:]); err != unix.EINTR {
			break
		}
	}
	l, err := seccomp.NewListener(fds[0])
	if err != nil {
		return
	}
	freeReceived(l, atomic.LoadUint64(last))
	keepThrough(l)
}

// freeReceived lets those calls through that the supervisor had received and not
// answered when it was killed: they are not delivered again. It stores each id
// before it looks at the call, so only the few next to the last can be.
func freeReceived(l *seccomp.Listener, last uint64) {
	const few = 8
	for id := last - few; id != last+few; id++ {
		_ = l.Continue(id) // ErrGone for all that wait no more
	}
}

// keepThrough lets every call through until no thread has the filter.
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
