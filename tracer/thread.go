package tracer

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// tracerThread runs f on a thread that does nothing else, and ends with it: what
// f traces is detached, or killed, with the thread. The thread is f's parent in the
// sense of wait4 as well: what f starts is its child.
//
// So it must be a thread that has no children yet. The Go runtime may offer one on which
// the host program, or startKeeper, has started a process before: f would wait for that
// too, and take its exit status away. It must not be the main thread either, which cannot
// end before the process. Such a thread is put aside until another is found.
func tracerThread(f func()) {
	go func() {
		runtime.LockOSThread()
		if unix.Gettid() == unix.Getpid() || hasChildren() {
			found := make(chan struct{})
			tracerThread(func() {
				close(found)
				f()
			})
			<-found
			runtime.UnlockOSThread()
			return
		}
		f() // the thread is never unlocked
	}()
}

// hasChildren reports whether the calling thread has started a process that nobody
// has waited for: waitid(2). It reports false where a sandbox forbids waitid: the
// launch then fails with an error that says so.
func hasChildren() bool {
	const options = unix.WEXITED | unix.WSTOPPED | unix.WNOHANG | unix.WNOWAIT | unix.WALL | unix.WNOTHREAD
	for {
		if err := unix.Waitid(unix.P_ALL, 0, nil, options, nil); err != unix.EINTR {
			return err == nil
		}
	}
}
