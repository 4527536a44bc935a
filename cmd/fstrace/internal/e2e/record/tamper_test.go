package record

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// A tampering changes what passes between the kernel and the receiver of a running
// fstrace, for what no command can bring about.
type tampering uint8

const (
	// tamperFailure has a notification fail to be received: the kernel answers EINVAL
	// to a buffer that does not hold zeros.
	tamperFailure tampering = iota
	// tamperABI has the next notified call be of an architecture that there is not.
	tamperABI
)

// tamper waits until fstrace, with that process id, is about to receive a
// notification. When it returns, the tampering will come with the next one; done
// waits until it has.
func tamper(t *testing.T, pid int, what tampering) (done func()) {
	t.Helper()
	tid, buffer := 0, int64(0)
	harness.Eventually(t, "fstrace receives", func() bool {
		tid, buffer = receiverOf(pid)
		return tid != 0
	})
	armed, over := make(chan struct{}), make(chan error, 1)
	go func() {
		runtime.LockOSThread() // a tracer is a thread, which ends with this goroutine
		over <- tamperWith(tid, buffer, what, armed)
	}()
	select {
	case <-armed:
	case err := <-over: // it may have done all there is to do
		if err != nil {
			t.Fatalf("tamper with the receiver: %v", err)
		}
		over <- nil
	}
	return func() {
		t.Helper()
		if err := <-over; err != nil {
			t.Fatalf("tamper with the receiver: %v", err)
		}
	}
}

// receiverOf finds the thread that is inside SECCOMP_IOCTL_NOTIF_RECV, and the
// buffer that it gave: /proc/TID/syscall has a call's number and arguments.
func receiverOf(pid int) (tid int, buffer int64) {
	const receive = "0xc0502100"
	tasks, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
	for _, task := range tasks {
		text, _ := os.ReadFile(filepath.Join(task, "syscall"))
		if fields := strings.Fields(string(text)); len(fields) > 3 && fields[2] == receive {
			tid, _ := strconv.Atoi(filepath.Base(task))
			buffer, _ := strconv.ParseInt(fields[3], 0, 64)
			return tid, buffer
		}
	}
	return 0, 0
}

// tamperWith stops the thread, which restarts its call, and changes the buffer
// before the kernel sees it or after it has filled it.
func tamperWith(tid int, buffer int64, what tampering, armed chan<- struct{}) error {
	if err := unix.PtraceSeize(tid); err != nil {
		return fmt.Errorf("seize: %w", err)
	}
	defer unix.PtraceDetach(tid)
	if err := unix.PtraceInterrupt(tid); err != nil {
		return fmt.Errorf("interrupt: %w", err)
	}
	if err := awaitCallStop(tid, false); err != nil {
		return err
	}
	memory, err := os.OpenFile(fmt.Sprintf("/proc/%d/mem", tid), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer memory.Close()
	if what == tamperFailure {
		close(armed)
		_, err = memory.WriteAt([]byte{1}, buffer)
		return err
	}
	close(armed)
	if err := awaitCallStop(tid, true); err != nil { // its return
		return err
	}
	const arch = 20 // struct seccomp_notif: id, pid, flags, data.nr, data.arch
	_, err = memory.WriteAt(binary.NativeEndian.AppendUint32(nil, 0x7fff), buffer+arch)
	return err
}

// awaitCallStop waits for the thread to enter its next call, or to return from it.
// It is stopped already, or about to be.
func awaitCallStop(tid int, stopped bool) error {
	const callStop = unix.SIGTRAP | 0x80 // PTRACE_O_TRACESYSGOOD
	for {
		if stopped {
			if err := unix.PtraceSyscall(tid, 0); err != nil {
				return fmt.Errorf("go on: %w", err)
			}
		}
		var ws unix.WaitStatus
		for {
			if _, err := unix.Wait4(tid, &ws, unix.WALL, nil); err == nil {
				break
			} else if err != unix.EINTR {
				return fmt.Errorf("wait: %w", err)
			}
		}
		switch {
		case !ws.Stopped():
			return fmt.Errorf("the thread ended: %#x", uint32(ws))
		case ws.StopSignal() == callStop:
			return nil
		case ws.StopSignal() == unix.SIGTRAP: // of PTRACE_INTERRUPT
			if err := unix.PtraceSetOptions(tid, unix.PTRACE_O_TRACESYSGOOD); err != nil {
				return fmt.Errorf("set options: %w", err)
			}
		default: // the Go runtime's own SIGURG can do without
		}
		stopped = true
	}
}
