package jobcontrol

import (
	"runtime"

	"github.com/fstrace/fstrace/tracer/internal/shim"
	"golang.org/x/sys/unix"
)

// KillSelf ends this process by a signal, for a parent that looks at how it ended
// as it would at the command: with the signal's default effect, but without a core
// dump of its own. It returns if the signal does not kill.
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
