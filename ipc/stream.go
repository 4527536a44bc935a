package ipc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/fstrace/fstrace/tracer"
)

// A RunRequest is a command to be run.
type RunRequest struct {
	// Argv is the command and its arguments, Env its environment as "key=value", Cwd
	// its directory, absolute. All are needed.
	Argv, Env []string
	Cwd       string

	// Launch, if set, is the process that is to become the command. It has the rest:
	// the fields below are for commands that the daemon starts.
	Launch *tracer.Launch
	// Umask, nil for 022.
	Umask *int
	// Limits are resource limits that it starts with, and Nice is its nice value, nil for
	// the daemon's.
	Limits []ResourceLimit
	Nice   *int
	// Files are the command's descriptors, by number. Others are closed; 0, 1 and 2
	// are /dev/null then.
	Files map[int]*os.File

	Options Options
}

// A Stream is a session's record as it comes from the daemon. Its methods are for
// one goroutine at a time, but for Close. To close a stream of Run before its end
// cancels the session, unless it is detached.
type Stream struct {
	client *Client
	method string
	ctx    context.Context // of the call
	stop   func() bool
	conn   *net.UnixConn
	frames *frameReader

	session string
	start   *Update // the first, until it is read
	peeked  *Update
	result  *Result
	ended   bool
}

// An Update is one step of a stream. Fields that do not apply are empty.
type Update struct {
	Session string
	// Start is the record's header, Events are events, and End is its trailer: each a
	// line of the JSONL record (docs/jsonl.md), without the newline.
	Start  []byte
	Events [][]byte
	End    []byte
	// Running says that the command has been executed.
	Running bool
	// Result comes with End.
	Result *Result
}

// Run runs a command, and returns when its session has begun. The stream has the
// record from the start.
func (c *Client) Run(ctx context.Context, q *RunRequest) (*Stream, error) {
	in := wireRun{Umask: q.Umask, Limits: q.Limits, Nice: q.Nice, Options: &q.Options}
	in.Argv, in.ArgvBase64 = toTexts(q.Argv)
	if q.Env != nil { // left out, the server asks for it
		in.Env, in.EnvBase64 = toTexts(q.Env)
	}
	in.Cwd, in.CwdBase64 = toText(q.Cwd)
	var files []int
	var keep []*os.File
	if l := q.Launch; l != nil {
		in.Launched = &wireLaunched{
			Version: tracer.LaunchVersion, Control: 0, Process: 1,
			Mask: strconv.FormatUint(l.Mask, 16), Ignored: strconv.FormatUint(l.Ignored, 16),
		}
		keep = []*os.File{l.Control, l.Process}
		if l.Outer != nil {
			outer := len(keep)
			in.Launched.Outer = &outer
			keep = append(keep, l.Outer)
		}
	} else {
		var numbers []int
		for n := range q.Files {
			numbers = append(numbers, n)
		}
		slices.Sort(numbers)
		for i, n := range numbers {
			in.Descriptors = append(in.Descriptors, wireDescriptor{Number: n, Index: i})
			keep = append(keep, q.Files[n])
		}
	}
	for _, f := range keep {
		files = append(files, int(f.Fd()))
	}
	if len(files) > kernelFiles {
		return nil, newError(ErrTooManyDescriptors, "limit", kernelFiles)
	}
	return c.follow(ctx, "Run", in, files)
}

// Subscribe follows a session, its events from that seq on: 0 and 1 are the first.
func (c *Client) Subscribe(ctx context.Context, session string, from uint64) (*Stream, error) {
	return c.SubscribeView(ctx, session, View{From: from})
}

// A View is what is wanted of a session's events.
type View struct {
	// From is the seq of the first.
	From uint64
	// Only and Ignore leave some out, as those of [Options] do: for this reader alone.
	Only, Ignore []string
	// BatchBytes is about how many bytes of events come at once, nil for the default.
	// Latency is how long events may wait for others.
	BatchBytes *int
	Latency    time.Duration
}

// SubscribeView is Subscribe for a part of the events.
func (c *Client) SubscribeView(ctx context.Context, session string, v View) (*Stream, error) {
	return c.follow(ctx, "Subscribe", wireSubscribe{session, v.From, v.Only, v.Ignore, v.BatchBytes, v.Latency.Milliseconds()}, nil)
}

// follow calls one of the two, and waits for its first reply.
func (c *Client) follow(ctx context.Context, method string, in any, files []int) (*Stream, error) {
	s, err := c.open(ctx, method, in, files, true)
	if err != nil {
		return nil, err
	}
	if s.start, err = s.Next(); err != nil {
		s.Close()
		return nil, err
	}
	s.session = s.start.Session
	s.peeked = s.start
	return s, nil
}

// Close ends the stream. It may be called at any time, by any goroutine.
func (s *Stream) Close() error {
	s.stop()
	return s.conn.Close()
}

// Session returns the session's id.
func (s *Stream) Session() string { return s.session }

// Result returns what became of the run, nil before the end.
func (s *Stream) Result() *Result { return s.result }

// Running waits until the command has been executed, and tells whether it was. It
// must come before Next, Replay and Record; the next update is the record's first all
// the same.
func (s *Stream) Running() (bool, error) {
	if s.peeked != s.start || s.peeked == nil {
		return false, errors.New("fstraced: Running: the stream has been read from")
	}
	s.peeked = nil
	next, err := s.Next()
	if err != nil {
		return false, err
	}
	if !next.Running { // it comes first, or never
		merged := *next
		merged.Start = s.start.Start
		s.peeked = &merged
		return false, nil
	}
	s.peeked = s.start
	return true, nil
}

// Next returns the next update, io.EOF after the last, [ErrGone] if the daemon ended
// before.
func (s *Stream) Next() (*Update, error) {
	if u := s.peeked; u != nil {
		s.peeked = nil
		return u, nil
	}
	if s.ended {
		return nil, io.EOF
	}
	data, err := s.message()
	if err != nil {
		return nil, err
	}
	if lines, ok := splitEvents(data, s.session); ok {
		return &Update{Session: s.session, Events: lines}, nil
	}
	r, err := s.decode(data)
	if err != nil {
		return nil, err
	}
	var w wireUpdate
	if err := json.Unmarshal(r.Parameters, &w); err != nil {
		return nil, fmt.Errorf("fstraced: %s: reply: %w", s.method, err)
	}
	u := &Update{Session: w.Session, Start: w.Start, End: w.End, Running: w.Running, Result: w.Result}
	for _, line := range w.Events {
		u.Events = append(u.Events, line)
	}
	s.ended = !r.Continues
	if s.ended {
		s.result = w.Result
	}
	return u, nil
}

// message reads one reply.
func (s *Stream) message() ([]byte, error) {
	f, err := s.frame()
	return f.data, err
}

// frame is message with the descriptors that came with it.
func (s *Stream) frame() (frame, error) {
	f, err := s.frames.next()
	if err == nil {
		return f, nil
	}
	if s.ctx.Err() != nil {
		return frame{}, s.ctx.Err()
	}
	return frame{}, fmt.Errorf("%s: %w", s.method, gone(err))
}

// decode takes a reply apart. One that says what is wrong is an error.
func (s *Stream) decode(data []byte) (*reply, error) {
	var r reply
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("fstraced: %s: reply: %w", s.method, err)
	}
	if r.Error != "" {
		return nil, &Error{Name: r.Error, Parameters: r.Parameters}
	}
	return &r, nil
}
