package ipc

import (
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer"
	"github.com/google/uuid"
	"golang.org/x/sys/unix"
)

// A fake is a command that makes a given number of events, and ends, or waits to be
// cancelled.
type fake struct {
	cmd    *tracer.Cmd
	events int
	wait   bool

	once      sync.Once
	cancelled chan struct{}
	done      chan struct{}
}

// newFake makes commands of n events each.
func newFake(n int) func(*tracer.Cmd) command {
	return func(c *tracer.Cmd) command {
		return &fake{cmd: c, events: n, cancelled: make(chan struct{}), done: make(chan struct{})}
	}
}

// newWaiting makes commands that end when they are cancelled.
func newWaiting(n int) func(*tracer.Cmd) command {
	return func(c *tracer.Cmd) command {
		return &fake{cmd: c, events: n, wait: true, cancelled: make(chan struct{}), done: make(chan struct{})}
	}
}

func (f *fake) Start() error {
	if err := f.cmd.Sink.Begin(&events.Header{Session: uuid.Must(uuid.NewV7()).String(), Argv: f.cmd.Args, Cwd: f.cmd.Dir}); err != nil {
		return err
	}
	go f.run()
	return nil
}

func (f *fake) run() {
	defer close(f.done)
	var counts events.Counts
	for i := range f.events {
		e := &events.Event{Seq: uint64(i + 1), Time: time.Unix(0, int64(i)), PID: 1, TID: 1, Op: events.OpStat, Syscall: "stat", Path: fmt.Sprintf("/some/where/%d", i), State: events.StateFile}
		counts.Add(e)
		if err := f.cmd.Sink.Event(e); err != nil {
			panic(err)
		}
	}
	if f.wait {
		<-f.cancelled
	}
	if err := f.cmd.Sink.End(&events.Trailer{Counts: counts}); err != nil {
		panic(err)
	}
}

func (f *fake) Wait() error {
	<-f.done
	return nil
}

func (f *fake) Result() *tracer.Result        { return &tracer.Result{} }
func (f *fake) Signal(unix.Signal) error      { return os.ErrProcessDone }
func (f *fake) SignalGroup(unix.Signal) error { return os.ErrProcessDone }
func (f *fake) Cancel(time.Duration)          { f.once.Do(func() { close(f.cancelled) }) }
func (f *fake) Pid() int                      { return 1 }
