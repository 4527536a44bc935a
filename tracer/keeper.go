package tracer

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/fstrace/fstrace/seccomp"
	"golang.org/x/sys/unix"
)

// A keeper is a process that holds the listener as well, and does nothing as long
// as the supervisor lives. A filter cannot be removed: when the last descriptor of
// its listener is closed, each file call of each process that has it fails. So
// somebody must go on letting calls through when the supervisor has ended and
// descendants of the command have not, or when the supervisor was killed.
//
// It is told of the supervisor's end by its socket, which nobody else holds.
type keeper struct {
	process *os.Process
	socket  int // the supervisor's end
	lastID  *uint64
}

// startKeeper starts the process, not yet with a listener. It must not be called
// on the tracer thread, whose children are the command's.
func startKeeper() (*keeper, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start keeper: socketpair: %w", err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "keeper")
	defer theirs.Close()
	const socket = 3
	p, err := os.StartProcess("/proc/self/exe", []string{keeperName, strconv.Itoa(socket)}, &os.ProcAttr{
		Dir:   "/",
		Env:   helperEnv,
		Files: []*os.File{nil, nil, nil, theirs},
		// A session of its own: the terminal's signals are not for it.
		Sys: &syscall.SysProcAttr{Setsid: true},
	})
	if err != nil {
		unix.Close(pair[0])
		return nil, fmt.Errorf("start keeper: %w", err)
	}
	return &keeper{process: p, socket: pair[0]}, nil
}

// helperEnv is the environment of the helpers themselves: small heaps, and no
// signals of the runtime's own.
var helperEnv = []string{"GOGC=off", "GOMAXPROCS=1", "GODEBUG=asyncpreemptoff=1"}

// hold gives the keeper the listener. It need not have begun to run: what is in
// the socket holds the listener already.
func (k *keeper) hold(listener int) error {
	fd, err := unix.MemfdCreate("fstrace-last-id", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("share with keeper: %w", err)
	}
	defer unix.Close(fd)
	if err := unix.Ftruncate(fd, 8); err != nil {
		return fmt.Errorf("share with keeper: %w", err)
	}
	if k.lastID, err = mapWord(fd); err != nil {
		return fmt.Errorf("share with keeper: map: %w", err)
	}
	if err := sendDescriptors(k.socket, replyListener, listener, fd); err != nil {
		return fmt.Errorf("hand listener to keeper: %w", err)
	}
	return nil
}

// dismiss ends the keeper: no process has the filter any more.
func (k *keeper) dismiss() {
	_ = k.process.Kill() // by pidfd; gone already is as good
	_, _ = k.process.Wait()
	k.close()
}

// await waits for the end of a keeper that is not needed any more: it sees that by
// itself. Until then it has the socket: were that closed earlier, it would look for
// calls left over by a supervisor that still answers.
func (k *keeper) await() {
	k.close()
	_, _ = k.process.Wait()
}

func (k *keeper) close() {
	unix.Close(k.socket)
	if k.lastID != nil {
		_ = unmapWord(k.lastID)
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
