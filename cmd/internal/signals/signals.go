// Package signals passes the signals of a program that runs a command on to the command,
// and stops the program when its command stops.
package signals

import (
	"os"
	"os/signal"
	"sync"
	"sync/atomic"

	"github.com/fstrace/fstrace/tracer/jobcontrol"
	"golang.org/x/sys/unix"
)

// Signals stands between this process and its caller: what is sent to this process is
// meant for the command.
//
// A terminal sends its signals to the whole foreground group: the command gets them by
// itself, and must not get them twice. So while this process is in the foreground, those
// that a terminal sends are taken for the terminal's. During the launch the group's
// signals do not reach the command by themselves: all that come then are passed on.
//
// The terminal's stop signals are not passed on: they are for groups, from any sender.
// They wait here until the command has stopped, or its launch is over.
type Signals struct {
	caught  chan os.Signal
	ready   chan struct{}
	running atomic.Bool // the command is
	stop    sync.Mutex  // held while this process stops itself

	// GiveUp is called with a signal that would end this process if it comes when the
	// command has ended, maybe by the same signal. nil means that such signals have no
	// effect. It must be set before Forward is called.
	GiveUp func(unix.Signal)
}

// A Job is the command, whichever process traces it.
type Job interface {
	Pid() int
	Signal(unix.Signal) error
	Continued() bool
}

// forwarded are the signals by which people and supervisors talk to a command, and
// SIGALRM: a timer that was set before this program was executed is the command's.
var forwarded = []os.Signal{
	unix.SIGINT, unix.SIGQUIT, unix.SIGTERM, unix.SIGHUP, unix.SIGABRT, unix.SIGALRM,
	unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH,
}

// Catch begins to hold signals; Forward passes them on. A signal that was ignored when
// this process was started stays ignored.
//
// To catch one takes the runtime several switches between threads. So that goes on
// beside what comes next, and must be ready before a command's process is made.
func Catch() *Signals {
	s := &Signals{caught: make(chan os.Signal, 64), ready: make(chan struct{})}
	go func() {
		defer close(s.ready)
		for _, sig := range forwarded {
			s.catch(sig)
		}
	}()
	return s
}

// Ready is closed when all signals are caught.
func (s *Signals) Ready() <-chan struct{} { return s.ready }

func (s *Signals) catch(sig os.Signal) {
	if !signal.Ignored(sig) {
		signal.Notify(s.caught, sig)
	}
}

func init() { jobcontrol.HoldStops() }

// Launched says that the command runs. A stop that came before is made up for.
func (s *Signals) Launched() {
	s.running.Store(true)
	s.stop.Lock()
	defer s.stop.Unlock()
	jobcontrol.StopHeld()
}

// Forward passes signals on to the command until it has ended. Those that came
// before it was started wait in the channel.
func (s *Signals) Forward(cmd Job) {
	for sig := range s.caught {
		n, ok := sig.(unix.Signal)
		if ok && s.GiveUp != nil && ends(n) && cmd.Signal(0) != nil {
			s.GiveUp(n)
			continue
		}
		if !ok || s.running.Load() && byTerminal(n) && inForeground() {
			continue
		}
		_ = cmd.Signal(n) // it may just have ended
	}
}

// ends reports whether a signal is one by which people end a program.
func ends(sig unix.Signal) bool {
	switch sig {
	case unix.SIGINT, unix.SIGTERM, unix.SIGHUP, unix.SIGQUIT:
		return true
	}
	return false
}

// byTerminal reports whether a signal is one that a terminal sends.
func byTerminal(sig unix.Signal) bool {
	switch sig {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGWINCH:
		return true
	}
	return false
}

// inForeground reports whether the terminal's signals go to this process's group.
func inForeground() bool { return foregroundGroup() == unix.Getpgrp() }

// foregroundGroup returns the process group that the terminal's signals go to, 0 if
// there is no controlling terminal.
func foregroundGroup() int {
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0
	}
	defer unix.Close(tty)
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	if err != nil {
		return 0
	}
	return group
}

// inGroup reports whether a process is in this process's group.
func inGroup(pid int) bool {
	group, err := unix.Getpgid(pid)
	return err == nil && group == unix.Getpgrp()
}

// CommandStopped stops this process too when the command has been stopped, so that
// the shell, which knows only this process, sees its job stopped and takes the terminal
// back. "fg" continues this process's group; a command that has made one of its own,
// as shells do, is continued from here.
//
// A SIGSTOP to a command in the background comes from a process that knows it, and
// will continue it.
//
// This is the tracer thread: a command that is traced goes on when this returns.
func (s *Signals) CommandStopped(cmd Job, sig unix.Signal) {
	if sig == unix.SIGSTOP && !holdsTerminal(cmd) {
		return
	}
	s.stop.Lock()
	defer s.stop.Unlock()
	if !jobcontrol.StopHeld() && !jobcontrol.StopWith(sig, cmd.Continued) { // else it was for the command alone
		return
	}
	if !inGroup(cmd.Pid()) {
		_ = cmd.Signal(unix.SIGCONT)
	}
}

// holdsTerminal reports whether this process's group or the command's own is in the
// terminal's foreground, so that nobody else has the terminal while they are stopped.
func holdsTerminal(cmd Job) bool {
	foreground := foregroundGroup()
	if foreground == unix.Getpgrp() {
		return true
	}
	if foreground == 0 {
		return false
	}
	group, err := unix.Getpgid(cmd.Pid())
	return err == nil && group == foreground
}
