package seccomp

import (
	"errors"
	"fmt"
	"runtime"
	"sync"

	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A Feature is a part of seccomp user notification that a kernel may lack.
type Feature struct {
	Name  string
	Since string // the first kernel version with it, as "5.19"
	// Without describes what fstrace loses if the feature is missing.
	Without string

	probe func() error
}

// Probe tries to use the feature and returns nil if that works. The result holds only for
// this process, because containers and other filters can forbid what the kernel has. It
// may install a filter on a thread of its own, which ends again.
func (f *Feature) Probe() error { return f.probe() }

// Features returns the features that fstrace uses, the most important first. Their Probe
// methods share one test, so they report the same trial.
func Features() []*Feature {
	listener := sync.OnceValue(tryListener)
	return []*Feature{
		{
			Name: "SECCOMP_RET_USER_NOTIF", Since: "5.0", Without: "nothing can be traced",
			probe: func() error { return errnoErr(actionAvailable(uint32(retNotify))) },
		},
		{
			Name: "SECCOMP_FILTER_FLAG_NEW_LISTENER", Since: "5.0", Without: "nothing can be traced",
			probe: func() error { return listener().install },
		},
		{
			Name: "SECCOMP_USER_NOTIF_FLAG_CONTINUE", Since: "5.5", Without: "nothing can be traced",
			probe: func() error { return listener().reply },
		},
		{
			Name: "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", Since: "5.19",
			Without: "a signal restarts a notified call, which is then recorded again, and programs that do not restart calls see EINTR",
			probe:   func() error { return flagKnown(flagNewListener | flagWaitKillable) },
		},
		{
			Name: "SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP", Since: "6.6", Without: "each traced call takes several times as long",
			probe: func() error { return listener().syncWakeUp },
		},
	}
}

func errnoErr(errno unix.Errno) error {
	if errno == 0 {
		return nil
	}
	return errno
}

// flagKnown asks with a program that cannot be read: a kernel that knows the flags gets
// as far as reading it.
func flagKnown(flags uintptr) error {
	switch _, errno := setFilter(flags, nil); errno {
	case unix.EFAULT:
		return nil
	default:
		return errno
	}
}

// listenerTrial is how far a real filter with a real listener got.
type listenerTrial struct {
	install, syncWakeUp, reply error
}

// tryListener installs a filter that notifies one harmless call on a thread of its own,
// which ends with it, makes that call, and lets it go on.
func tryListener() listenerTrial {
	abis, err := ABIs(runtime.GOARCH)
	if err != nil {
		return listenerTrial{err, err, err}
	}
	program, err := Program(abis[:1], []Rule{{Syscall: "getpriority"}})
	if err != nil {
		return listenerTrial{err, err, err}
	}
	installed := make(chan result[int])
	called := make(chan error)
	go trialThread(program, installed, called)
	in := <-installed
	if in.err != nil {
		none := fmt.Errorf("no listener to try it on: %w", in.err)
		return listenerTrial{install: in.err, syncWakeUp: none, reply: none}
	}
	defer unix.Close(in.value)
	trial := listenerTrial{syncWakeUp: setListenerFlags(in.value, userNotifSyncWakeUp)}
	trial.reply = trialReply(in.value, called)
	return trial
}

type result[T any] struct {
	value T
	err   error
}

// trialThread never unlocks its thread, so that the filter ends with it.
func trialThread(program []bpf.RawInstruction, installed chan<- result[int], called chan<- error) {
	runtime.LockOSThread()
	if err := SetNoNewPrivs(); err != nil {
		installed <- result[int]{err: err}
		return
	}
	fd, err := Install(program)
	installed <- result[int]{fd, err}
	if err != nil {
		return
	}
	_, err = unix.Getpriority(unix.PRIO_PROCESS, 0)
	called <- err
}

func trialReply(fd int, called <-chan error) error {
	l, err := NewListener(fd)
	if err != nil {
		return err
	}
	var n Notification
	if err := l.Receive(&n); err != nil {
		return err
	}
	if err := l.Continue(n.ID); err != nil {
		// A kernel without CONTINUE refuses the flag: free the caller by an error.
		return errors.Join(err, l.Errno(n.ID, unix.ENOSYS), <-called)
	}
	return <-called
}
