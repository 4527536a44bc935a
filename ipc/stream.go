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

	"github.com/fstrace/fstrace/internal/jsonstring"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/fstrace/fstrace/tracer"
)

// A RunRequest is a command to be run.
type RunRequest struct {
	// Argv is the command and its arguments, Env its environment as "key=value", and Cwd
	// its absolute working directory. All are required.
	Argv, Env []string
	Cwd       string

	// Launch, if set, is a process that is to become the command. The fields below are
	// for commands that the daemon starts.
	Launch *tracer.Launch
	// Umask is the umask of the command; nil means 022.
	Umask *int
	// Limits are the resource limits of the command, and Nice is its nice value. Those
	// that are not set are the daemon's.
	Limits []ResourceLimit
	Nice   *int
	// Files are the descriptors of the command, by number. 0, 1 and 2 are /dev/null
	// unless they are set; all others are closed. The files are still owned by the
	// caller, who may close them when Run has returned.
	Files map[int]*os.File

	Options Options
}

// A Stream is the record of a session as the daemon sends it. Read it either with Next,
// or with Record or Replay. Its methods must not be called concurrently, except for
// Close.
//
// Close a Stream when it is no longer needed. Closing a stream of [Client.Run] before its
// end cancels the session, unless it is detached.
type Stream struct {
	client *Client
	method string
	ctx    context.Context // of the call
	stop   func() bool
	conn   *net.UnixConn
	frames *varlink.Reader

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
	// Running means that the command has been executed.
	Running bool
	// Result comes with End.
	Result *Result
}

// Run runs a command and returns when its session has begun. The stream has the record
// from its beginning. If the command could not be run, the error is an [*Error], for
// example [ErrCannotRun] or [ErrTooManySessions]. If ctx is done, the stream is closed.
func (c *Client) Run(ctx context.Context, q *RunRequest) (*Stream, error) {
	in := wireRun{Umask: q.Umask, Limits: q.Limits, Nice: q.Nice, Options: &q.Options}
	in.Argv, in.ArgvBase64 = jsonstring.SplitAll(q.Argv)
	if q.Env != nil { // left out, the server asks for it
		in.Env, in.EnvBase64 = jsonstring.SplitAll(q.Env)
	}
	in.Cwd, in.CwdBase64 = jsonstring.Split(q.Cwd)
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
	if len(files) > varlink.MaxFiles {
		return nil, newError(ErrTooManyDescriptors, "limit", varlink.MaxFiles)
	}
	return c.follow(ctx, "Run", in, files)
}

// Subscribe follows a running or retained session from the event with the number from; 0
// and 1 mean the first event. The error is [ErrReplayGone] if the daemon no longer has
// that event.
func (c *Client) Subscribe(ctx context.Context, session string, from uint64) (*Stream, error) {
	return c.SubscribeView(ctx, session, View{From: from})
}

// A View selects a part of the events of a session.
type View struct {
	// From is the number of the first event.
	From uint64
	// Only and Ignore remove accesses for this subscriber, with the patterns of
	// [Options].
	Only, Ignore []string
	// BatchBytes is the approximate size of the events in a reply, in bytes; nil means
	// the default. Latency is how long events may wait for others.
	BatchBytes *int
	Latency    time.Duration
}

// SubscribeView is like [Client.Subscribe] for a part of the events.
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

// Close closes the stream. It may be called at any time and concurrently with other
// methods, which then return an error.
func (s *Stream) Close() error {
	s.stop()
	return s.conn.Close()
}

// Session returns the id of the session.
func (s *Stream) Session() string { return s.session }

// Result returns the result of the run. It returns nil before the end of the stream.
func (s *Stream) Result() *Result { return s.result }

// Running waits until the command has been executed, and reports whether it was. It must
// be called before Next, Replay and Record. The next update is still the first one of the
// record.
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

// Next returns the next update. After the last one it returns io.EOF. It returns
// [ErrGone] if the daemon ended before the session.
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
	return f.Data, err
}

// frame is message with the descriptors that came with it.
func (s *Stream) frame() (varlink.Frame, error) {
	f, err := s.frames.Next()
	if err == nil {
		return f, nil
	}
	if s.ctx.Err() != nil {
		return varlink.Frame{}, s.ctx.Err()
	}
	return varlink.Frame{}, fmt.Errorf("%s: %w", s.method, gone(err))
}

// decode decodes a reply. An error reply becomes an error.
func (s *Stream) decode(data []byte) (*varlink.Reply, error) {
	var r varlink.Reply
	if err := json.Unmarshal(data, &r); err != nil {
		return nil, fmt.Errorf("fstraced: %s: reply: %w", s.method, err)
	}
	if r.Error != "" {
		return nil, &Error{Name: r.Error, Parameters: r.Parameters}
	}
	return &r, nil
}
