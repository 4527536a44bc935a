package jobcontrol

import (
	"runtime"

	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// KillSelf ends this process by the default effect of a signal, without a core dump, so
// that its parent sees the wait status of the command. It returns if the default effect
// of the signal is not to kill.
func KillSelf(sig unix.Signal) {
	_ = unix.Setrlimit(unix.RLIMIT_CORE, &unix.Rlimit{})
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	shim.SetSignalHandler(int(sig), shim.SignalDefault)
	mask, _ := shim.SignalMask(nil)
	mask &^= 1 << (sig - 1)
	_, _ = shim.SignalMask(&mask)
	_ = unix.Tgkill(unix.Getpid(), unix.Gettid(), sig)
}
