package jobcontrol_test

import (
	"log"
	"os"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer"
	"github.com/fstrace/fstrace/tracer/jobcontrol"
	"golang.org/x/sys/unix"
)

func init() { jobcontrol.HoldStops() }

// A program that stops when its command is stopped, continues with it, and ends by the
// signal that has killed it.
func Example() {
	cmd := tracer.Command("vi", "file")
	cmd.InheritFiles = true
	cmd.Sink = events.SinkFunc(func(*events.Event) error { return nil })
	cmd.OnStop = func(sig unix.Signal) { jobcontrol.StopWith(sig, cmd.Continued) }
	if err := cmd.Start(); err != nil {
		log.Fatal(err)
	}
	jobcontrol.StopHeld() // by a Ctrl-Z during the launch
	_ = cmd.Wait()        // the result has the error
	status := cmd.Result().Status
	if status.Signaled() {
		jobcontrol.KillSelf(status.Signal())
	}
	os.Exit(status.ExitStatus())
}
