package nested

import "github.com/fstrace/fstrace/events"

// A Join asks for the events of a process and of all that it will start. It must not have
// started any yet.
type Join struct {
	// PID is the process's number for the inner fstrace, whose child it is, not yet
	// reaped: it cannot come to mean another. (A descriptor would have to be closed by
	// the outer one, which a file system's server can hold up.)
	PID int
	// Guard asks for questions before changes.
	Guard bool
	// Linked means that the processes are killed when the inner fstrace is, as ptrace
	// would.
	Linked bool
	// Child says that the process is a child of the one that has asked for the socket,
	// which is the inner fstrace itself: its end is that one's.
	Child bool
}

// Append appends the message.
func (j *Join) Append(b []byte) []byte {
	e, at := begin(b, KindJoin)
	e.int(int64(j.PID))
	e.bool(j.Guard)
	e.bool(j.Linked)
	e.bool(j.Child)
	return e.end(at)
}

// Decode reads the message's fields.
func (j *Join) Decode(b []byte) error {
	d := decoder{b: b}
	*j = Join{PID: int(int32(d.int())), Guard: d.bool(), Linked: d.bool(), Child: d.bool()}
	return d.end()
}

// A Signal asks for a signal to all processes that there are, and to those that will be:
// a timeout's SIGTERM or SIGKILL.
type Signal struct{ Signal int }

// Append appends the message.
func (s *Signal) Append(b []byte) []byte {
	e, at := begin(b, KindSignal)
	e.int(int64(s.Signal))
	return e.end(at)
}

// Decode reads the message's fields.
func (s *Signal) Decode(b []byte) error {
	d := decoder{b: b}
	s.Signal = int(int32(d.int()))
	return d.end()
}

// A Finish asks for Done, when the command has ended or, if All, its last descendant.
type Finish struct{ All bool }

// Append appends the message.
func (f *Finish) Append(b []byte) []byte {
	e, at := begin(b, KindFinish)
	e.bool(f.All)
	return e.end(at)
}

// Decode reads the message's fields.
func (f *Finish) Decode(b []byte) error {
	d := decoder{b: b}
	f.All = d.bool()
	return d.end()
}

// AppendGuard appends the message that a guard's socket comes with.
func AppendGuard(b []byte) []byte {
	e, at := begin(b, KindGuard)
	return e.end(at)
}

// AppendJoined appends the message that a Join was granted.
func AppendJoined(b []byte) []byte {
	e, at := begin(b, KindJoined)
	return e.end(at)
}

// A Refused says why the outer fstrace does not serve.
type Refused struct{ Reason string }

// Append appends the message.
func (r *Refused) Append(b []byte) []byte {
	e, at := begin(b, KindRefused)
	e.string(r.Reason)
	return e.end(at)
}

// Decode reads the message's fields.
func (r *Refused) Decode(b []byte) error {
	d := decoder{b: b}
	r.Reason = d.string()
	return d.end()
}

// A Mounts has the mounts whose file systems are served from inside the session: who
// looks there needs a timeout.
type Mounts struct{ Paths []string }

// Append appends the message.
func (m *Mounts) Append(b []byte) []byte {
	e, at := begin(b, KindMounts)
	e.strings(m.Paths)
	return e.end(at)
}

// Decode reads the message's fields.
func (m *Mounts) Decode(b []byte) error {
	d := decoder{b: b}
	m.Paths = d.strings()
	return d.end()
}

// A Left is a process that is still running.
type Left struct {
	PID  int
	Exe  string
	Argv []string
}

// A Done says that all events have been sent, and what they may miss.
type Done struct {
	Left []Left
	Gaps []events.Incomplete
}

// Append appends the message.
func (m *Done) Append(b []byte) []byte {
	e, at := begin(b, KindDone)
	e.uint(uint64(len(m.Left)))
	for i := range m.Left {
		e.int(int64(m.Left[i].PID))
		e.string(m.Left[i].Exe)
		e.strings(m.Left[i].Argv)
	}
	e.uint(uint64(len(m.Gaps)))
	for i := range m.Gaps {
		e.string(string(m.Gaps[i].Reason))
		e.int(int64(m.Gaps[i].PID))
		e.string(m.Gaps[i].Detail)
	}
	return e.end(at)
}

// Decode reads the message's fields.
func (m *Done) Decode(b []byte) error {
	d := decoder{b: b}
	*m = Done{}
	for range d.count(3) {
		m.Left = append(m.Left, Left{PID: int(d.int()), Exe: d.string(), Argv: d.strings()})
	}
	for range d.count(3) {
		m.Gaps = append(m.Gaps, events.Incomplete{Reason: events.Reason(d.string()), PID: int(d.int()), Detail: d.string()})
	}
	return d.end()
}

// A Question is put to the guard of an inner fstrace, before a call is continued: see
// Cmd.Guard in package tracer. Each is a packet of its own.
type Question struct {
	ID   uint64
	Op   events.Op
	Path string
	Info events.FileInfo
}

// Append appends the packet.
func (q *Question) Append(b []byte) []byte {
	e := encoder{b: b}
	e.uint(q.ID)
	e.uint(uint64(q.Op))
	e.string(q.Path)
	e.info(&q.Info)
	return e.b
}

// Decode reads the packet.
func (q *Question) Decode(b []byte) error {
	d := decoder{b: b}
	*q = Question{ID: d.uint(), Op: d.op(), Path: d.string()}
	d.info(&q.Info)
	return d.end()
}

// An Answer says that a question's call may be continued. One with the ID 0 says that
// the inner fstrace is at work on the questions that it has.
type Answer struct{ ID uint64 }

// Append appends the packet.
func (a *Answer) Append(b []byte) []byte {
	e := encoder{b: b}
	e.uint(a.ID)
	return e.b
}

// Decode reads the packet.
func (a *Answer) Decode(b []byte) error {
	d := decoder{b: b}
	a.ID = d.uint()
	return d.end()
}
