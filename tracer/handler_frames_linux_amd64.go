package tracer

import "golang.org/x/sys/unix"

// restartSys is the kernel's -ERESTARTSYS: a call runs again only if the signal's handler
// was installed with SA_RESTART. restartNoHandler is its -ERESTARTNOHAND: it runs again
// unless a handler has run.
const (
	restartSys       = -512
	restartNoHandler = -514
)

// handlerFrames makes interrupted calls run again after the signal's handler. Here that
// is done before the signal is delivered; on arm64 there is more to it.
type handlerFrames struct{}

func (*handlerFrames) restart(tid int, _ unix.Signal, regs *callRegisters) {
	regs.setResult(tid, restartNoIntr)
}

func (*handlerFrames) step(int, unix.Signal) bool    { return false }
func (*handlerFrames) stepNow(int, unix.Signal) bool { return false }
func (*handlerFrames) stopped(*waitEvent) bool       { return false }
