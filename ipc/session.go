package ipc

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/internal/jsonstring"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/fstrace/fstrace/tracer"
	"golang.org/x/sys/unix"
)

// A command is what runs: *tracer.Cmd, or a test's own.
type command interface {
	Start() error
	Wait() error
	Result() *tracer.Result
	Signal(unix.Signal) error
	SignalGroup(unix.Signal) error
	Cancel(grace time.Duration)
	Pid() int
}

// A session is one command with its record, from its start until it is dropped.
type session struct {
	server *Server
	spool  *spool
	launch *tracer.Launch // nil if the command is a child of this process
	files  []int          // for the command, until it is started

	label    string // the client's
	detached bool
	manifest *bytes.Buffer // what the manifest's recorder writes, nil without one
	abandon  func(error)   // makes that recorder stop, nil without one

	started chan struct{} // Start has returned
	done    chan struct{} // the record is whole, and the result known

	mu          sync.Mutex
	cmd         command // replaced at the end, for its memory's sake
	memory      int64   // what is accounted for
	header      events.Header
	headerLine  []byte
	trailer     *events.Trailer
	trailerLine []byte
	since       time.Time
	ended       time.Time
	executed    bool
	startErr    error
	cancelled   bool
	grace       time.Duration
	result      Result
	documentAt  int64 // where the manifest is in the spool
	document    int64 // its size
	weight      int64 // of the manifest
	noManifest  string
	subscribers int
	holders     int
}

// begin is called with the record's header.
func (s *session) begin(h *events.Header, line []byte) {
	s.mu.Lock()
	s.header = events.Header{Session: h.Session, Argv: h.Argv, Cwd: h.Cwd}
	s.headerLine, s.since = line, time.Now()
	s.mu.Unlock()
	s.server.registry.register(s, h.Session)
}

// finish is called with the record's trailer.
func (s *session) finish(t *events.Trailer, line []byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.trailer, s.trailerLine, s.ended = t, line, time.Now()
}

// run runs the command, to the end of its record.
func (s *session) run() {
	cmd := s.command()
	err := cmd.Start()
	varlink.CloseAll(s.files)
	var notRun *tracer.ExecError
	executed := err == nil
	if errors.As(err, &notRun) {
		err = nil
	}
	s.mu.Lock()
	s.startErr, s.executed = err, executed
	if notRun != nil {
		s.result.NotExecuted = notRun.Error()
	}
	cancelled, grace := s.cancelled, s.grace
	s.mu.Unlock()
	if err == nil {
		s.server.tell(s, false)
	}
	close(s.started)
	if err != nil {
		s.closeLaunch()
		s.server.registry.forget(s)
		s.keepMemory(0)
		_, _ = s.spool.seal()
		s.spool.close()
		close(s.done)
		return
	}
	if cancelled {
		cmd.Cancel(grace) // there was nothing to cancel before
	}
	_ = cmd.Wait() // the result says all of it
	s.closeLaunch()
	s.end(cmd.Result())
}

func (s *session) closeLaunch() {
	if s.launch != nil {
		s.launch.Close()
	}
}

// end notes how the run ended.
func (s *session) end(result *tracer.Result) {
	var at, size, weight int64
	missing := ""
	if s.manifest != nil {
		size = int64(s.manifest.Len())
		if json.Valid(s.manifest.Bytes()) { // whole
			weight = varlink.Weigh(s.manifest.Bytes(), patterns)
		}
		var putErr error
		if at, putErr = s.spool.putManifest(s.manifest.Bytes()); putErr != nil {
			size, missing = 0, "store manifest: "+putErr.Error()
		}
	}
	s.mu.Lock()
	if result != nil {
		if result.Err != nil {
			s.result.Error = result.Err.Error()
		}
		s.result.Usage = usageOf(result.Usage)
		s.result.Ending = map[tracer.Ending]string{tracer.EndedAfterTerm: "term", tracer.EndedByKill: "kill"}[result.Ending]
	}
	if s.trailer == nil {
		s.ended = time.Now()
	}
	s.documentAt, s.document, s.weight, s.noManifest, s.manifest = at, size, weight, missing, nil
	s.cmd = endedCommand{s.cmd.Pid()}
	argv := s.header.Argv
	s.mu.Unlock()
	s.keepMemory(memoryOf(argv))
	close(s.done)
	s.server.tell(s, true)
	s.server.registry.ended(s)
}

// isDone reports whether the session has ended.
func (s *session) isDone() bool {
	select {
	case <-s.done:
		return true
	default:
		return false
	}
}

// cancel ends the session. It does not wait for that.
func (s *session) cancel(grace time.Duration) {
	s.mu.Lock()
	s.cancelled, s.grace = true, grace
	s.mu.Unlock()
	select {
	case <-s.started:
	default:
		if s.launch != nil {
			s.launch.Abort() // it may wait for somebody who is gone
		}
	}
	s.command().Cancel(grace)
	if s.abandon != nil {
		s.abandon(errors.New("cancelled before all files were hashed"))
	}
}

// signal signals the command, or its process group.
func (s *session) signal(sig unix.Signal, group bool) error {
	var err error
	if group && s.launch == nil {
		err = s.command().SignalGroup(sig)
	} else {
		err = s.command().Signal(sig)
	}
	if errors.Is(err, os.ErrProcessDone) {
		return newError(ErrSessionEnded, "session", s.id())
	}
	return err
}

func (s *session) id() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.header.Session
}

// documentSize returns the size of the session's manifest, and what it weighs.
func (s *session) documentSize() (size, weight int64, err error) {
	id := s.id()
	if !s.isDone() {
		return 0, 0, newError(ErrNoManifest, "session", id, "message", "the session "+id+" has not ended: its manifest is not there yet")
	}
	s.mu.Lock()
	size, weight, missing := s.document, s.weight, s.noManifest
	s.mu.Unlock()
	if missing != "" {
		return 0, 0, newError(ErrNoManifest, "session", id, "message", missing)
	}
	if size == 0 {
		return 0, 0, newError(ErrNoManifest, "session", id, "message", "the session "+id+" was run without the option manifest")
	}
	return size, weight, nil
}

// readManifest returns the session's manifest. It takes as much memory as documentSize
// says.
func (s *session) readManifest() ([]byte, error) {
	size, _, err := s.documentSize()
	if err != nil {
		return nil, err
	}
	doc := make([]byte, size)
	if _, err := s.spool.file.ReadAt(doc, s.documentAt); err != nil {
		return nil, s.server.registry.gone(s.id())
	}
	return doc, nil
}

// info describes the session for a list.
func (s *session) info() SessionInfo {
	last, _ := s.spool.count()
	size := s.spool.size()
	pid := s.command().Pid()
	s.mu.Lock()
	defer s.mu.Unlock()
	i := SessionInfo{
		Session: s.header.Session, State: "running", PID: pid, Started: stamp(s.since),
		Events: int64(last), Bytes: size, Subscribers: s.subscribers, Label: s.label,
		Detached: s.detached, Manifest: s.document > 0,
	}
	argv, cut := cutList(s.header.Argv)
	i.Argv, i.ArgvBase64 = jsonstring.SplitAll(argv)
	i.ArgvCut = cut
	i.Cwd, i.CwdBase64 = jsonstring.Split(s.header.Cwd)
	if s.isDone() {
		i.State, i.Ended = "ended", stamp(s.ended)
		if t := s.trailer; t != nil {
			complete := t.Complete()
			i.Complete = &complete
			i.Exit = &t.Exit
		}
	}
	return i
}

// subscribe counts a client that follows the session; leave must be called after it.
func (s *session) subscribe() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.subscribers++
}

func (s *session) leave() {
	s.mu.Lock()
	s.subscribers--
	s.mu.Unlock()
	s.server.registry.sweep()
}

// hold counts the connections that the session is kept for, though they do not follow it.
func (s *session) hold(change int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.holders += change
}

// keep reports whether a client follows the session, or has it kept, and since when it is
// over.
func (s *session) keep() (followed bool, ended time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.subscribers+s.holders > 0, s.ended
}

// drop closes the spool.
func (s *session) drop() {
	s.spool.close()
	s.keepMemory(0)
}
