package main

import (
	"os"
	"os/signal"
	"sync/atomic"

	"github.com/fstrace/fstrace/tracer"
	"golang.org/x/sys/unix"
)

// signals stands between this process and its caller: what is sent to fstrace is
// meant for the command.
//
// A terminal sends its signals to the whole foreground group: the command gets
// them by itself, and must not get them twice. So while fstrace is in the
// foreground, those that a terminal sends are taken for the terminal's.
type signals struct {
	caught chan os.Signal
	// stopping: this process is about to stop itself.
	stopping atomic.Bool
}

// forwarded are the signals by which people and supervisors talk to a command.
var forwarded = []os.Signal{
	unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP,
	unix.SIGUSR1, unix.SIGUSR2, unix.SIGTSTP, unix.SIGWINCH,
}

// byTerminal are those of them that a terminal sends.
func byTerminal(sig os.Signal) bool {
	switch sig {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGWINCH:
		return true
	}
	return false
}

// catchSignals begins to hold back signals; forward passes them on. One that was
// ignored when fstrace was started stays ignored.
func catchSignals() *signals {
	s := &signals{caught: make(chan os.Signal, 64)}
	for _, sig := range forwarded {
		if !signal.Ignored(sig) {
			signal.Notify(s.caught, sig)
		}
	}
	return s
}

// forward passes signals on to the command until it has ended. Those that came
// before it was started wait in the channel.
func (s *signals) forward(cmd *tracer.Cmd) {
	for sig := range s.caught {
		if byTerminal(sig) && inForeground() {
			continue
		}
		if n, ok := sig.(unix.Signal); ok {
			_ = cmd.Signal(n) // it may just have ended
		}
	}
}

// inForeground tells whether the terminal's signals go to this process's group.
func inForeground() bool {
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false // no controlling terminal
	}
	defer unix.Close(tty)
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// commandStopped stops this process too when the terminal has stopped the command,
// so that the shell, which knows only fstrace, sees its job stopped and takes the
// terminal back. "fg" continues the whole group.
func (s *signals) commandStopped(sig unix.Signal) {
	if sig == unix.SIGSTOP { // sent to the command alone, by somebody who knows it
		return
	}
	if s.stopping.Swap(true) {
		return
	}
	go func() {
		defer s.stopping.Store(false)
		_ = unix.Kill(unix.Getpid(), unix.SIGSTOP)
	}()
}
