package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer"
	"golang.org/x/sys/unix"
)

// findPrivileges reports whether set-user-ID programs get their privileges.
func findPrivileges() finding {
	f := finding{Name: "privileges", State: weightOK}
	effective, _ := strconv.ParseUint(statusField("CapEff"), 16, 64)
	switch {
	case effective&(1<<unix.CAP_SYS_ADMIN) != 0:
		f.Found = "CAP_SYS_ADMIN: set-user-ID programs get their privileges"
	case statusField("NoNewPrivs") == "1":
		f.Found = "no_new_privs is set already: set-user-ID programs get no privileges, with or without fstrace"
	default:
		f.State, f.Found = weightNote, "no CAP_SYS_ADMIN, so commands run with no_new_privs"
		f.Effect = "set-user-ID programs (sudo, su) run without their privileges"
	}
	return f
}

// findIOUring reports whether the kernel has io_uring, by a call that must fail.
func findIOUring() finding {
	f := finding{Name: "io_uring", State: weightOK}
	switch _, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, 0, 0, 0); errno {
	case unix.ENOSYS:
		f.Found = "not available: fstrace changes nothing"
	case unix.EPERM:
		f.Found = "not permitted (kernel.io_uring_disabled, or an outer filter): fstrace changes nothing"
	default:
		f.Found = "available; under fstrace it fails with ENOSYS (with --io-uring allow, a record is incomplete once a ring is set up)"
	}
	return f
}

// findSignalsKept reports whether this binary was built to keep what it inherits.
func findSignalsKept() finding {
	f := finding{Name: "build", State: weightOK, Found: "commands get every ignored signal that fstrace was started with"}
	if !tracer.SignalsKept() {
		f.State, f.Found = weightNote, "not linked with -ldflags=-E=fstrace_entry (go run, go install)"
		f.Effect = "some ignored signals are not passed on, and Ctrl-Z can stop fstrace before its command"
	}
	return f
}

// findDaemon asks the daemon. Without one there is no --connect, and that is all.
func findDaemon(socket string) finding {
	f := finding{Name: "fstraced", State: weightNote, Effect: "fstrace --connect does not work; nothing else needs fstraced"}
	client, err := dial(socket)
	if err != nil {
		f.Found = err.Error()
		return f
	}
	server := client.Server()
	f.Found = fmt.Sprintf("version %s, process %d, at %s", server.Version, server.PID, server.Socket)
	if server.LaunchVersion != tracer.LaunchVersion {
		f.Found += fmt.Sprintf("; its launch version is %d, that of this fstrace is %d", server.LaunchVersion, tracer.LaunchVersion)
		f.Effect = "fstrace --connect does not work until you restart fstraced with the version of this fstrace"
		return f
	}
	f.State, f.Effect = weightOK, ""
	return f
}

// findTrace traces a command: this program, printing its version to /dev/null. It is the
// proof that the parts, which have been tried one by one, work together.
func findTrace() finding {
	f := tryTrace(tracer.LifecyclePtrace)
	if f.State == weightMissing && tryTrace(tracer.LifecycleNotify).State != weightMissing {
		f.State, f.Effect = weightGap, "a command can be traced only with --lifecycle notify, which does not see all processes (docs/limits.md)"
	}
	return f
}

func tryTrace(how tracer.Lifecycle) finding {
	f := finding{Name: "trace", State: weightOK}
	exe, err := os.Executable()
	if err != nil {
		exe = "/proc/self/exe"
	}
	sink := &trialSink{}
	cmd := tracer.Command(exe, "--version")
	cmd.Sink, cmd.Lifecycle = sink, how
	err = cmd.Run()
	var failed *tracer.ExitError
	result := cmd.Result()
	switch {
	case err != nil && !errors.As(err, &failed):
		f.State, f.Found, f.Effect = weightMissing, err.Error(), "a command cannot be traced"
	case result.Exit != (events.Exit{}):
		f.State, f.Found, f.Effect = weightMissing, "a command that does nothing ended with "+result.Exit.String(), "commands behave differently under fstrace"
	case len(result.Incomplete) > 0:
		gap := result.Incomplete[0]
		f.State, f.Found, f.Effect = weightGap, "incomplete: "+string(gap.Reason), gap.Detail
	case !slices.Contains(sink.executed, exe):
		f.State, f.Found, f.Effect = weightGap, "no exec event", "the record lacks the exec of the command"
	default:
		f.Found = fmt.Sprintf("complete, %d events", sink.events)
	}
	return f
}

// A trialSink keeps what a trace must have.
type trialSink struct {
	events   int
	executed []string
}

func (s *trialSink) Begin(*events.Header) error { return nil }

func (s *trialSink) Event(e *events.Event) error {
	s.events++
	if e.Op == events.OpExec && !e.IsProcess() {
		s.executed = append(s.executed, e.Path)
	}
	return nil
}

func (s *trialSink) End(*events.Trailer) error { return nil }

// findRecorder has a shell record its own calls.
func findRecorder() finding {
	f := finding{Name: "recorder", State: weightNote, Effect: "--recorder auto does not help: calls are notified"}
	if err := tracer.CheckRecorder(); err != nil {
		f.Found = err.Error()
		return f
	}
	// [ -e ] is a stat of a path that does not begin at the working directory.
	const script = `i=0; while [ $i -lt 400 ]; do [ -e /missing ]; i=$((i+1)); done; true`
	cmd := tracer.Command("/bin/sh", "-c", script)
	cmd.Sink, cmd.Recorder = &trialSink{}, tracer.RecorderAuto
	if err := cmd.Run(); err != nil {
		f.Found = "/bin/sh: " + err.Error()
		return f
	}
	calls := cmd.Result().Calls
	if calls.Recorded == 0 {
		f.Found = "/bin/sh did not record its calls: it does not use a glibc with room for the recorder, or kcmp(2) is not available"
		return f
	}
	return finding{Name: "recorder", State: weightOK, Found: fmt.Sprintf("/bin/sh recorded %d of %d calls", calls.Recorded, calls.Recorded+calls.Notified)}
}
