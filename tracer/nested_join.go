package tracer

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/nested"
	"golang.org/x/sys/unix"
)

// An outer is the fstrace above this one, which has the listener, as this session sees
// it.
type outer struct {
	session *session
	conn    *os.File
	guard   *os.File // nil for none
	broken  atomic.Bool
	killed  atomic.Bool   // it was asked to kill all
	came    atomic.Uint64 // how many messages have come
	done    chan struct{} // nothing more comes
	end     nested.Done
	whole   bool // end is set
}

// findOuter asks for a socket of a fstrace above this process. There is none without one.
func findOuter() (*os.File, error) {
	// The call waits for the outer fstrace, so the Go scheduler is to know of it.
	fd, _, errno := unix.Syscall(unix.SYS_SECCOMP, nested.Magic, nested.Version, nested.Check)
	if errno != 0 {
		return nil, errno
	}
	unix.CloseOnExec(int(fd))
	if err := unix.SetNonblock(int(fd), true); err != nil {
		unix.Close(int(fd))
		return nil, err
	}
	return os.NewFile(fd, "outer"), nil
}

// CheckNested returns nil if this process runs inside a session of another fstrace that
// serves inner sessions (docs/nested.md), and otherwise the reason why not.
func CheckNested() error {
	f, err := findOuter()
	if err != nil {
		return fmt.Errorf("ask for a fstrace above: %w", err)
	}
	return f.Close()
}

// join asks the fstrace above this one for the events of the command, whose shim waits.
func (s *session) join() error {
	var conn *os.File
	var err error
	if a := s.cmd.Adopt; a != nil && a.Outer != nil {
		if conn, err = a.takeOuter(); err != nil {
			return err
		}
	} else if conn, err = findOuter(); err != nil {
		return errors.New("another fstrace, or a container runtime, has a seccomp listener above: it sees the file accesses, this record has processes only")
	}
	o := &outer{session: s, conn: conn, done: make(chan struct{})}
	in := newIncoming(conn)
	if err := o.ask(in); err != nil {
		conn.Close()
		if o.guard != nil {
			o.guard.Close()
		}
		return fmt.Errorf("the fstrace above does not serve this one, which has processes only: %w", err)
	}
	s.outer = o
	s.owner.mail.send(msgDelegate{o.signalAll})
	close(s.received)
	go o.receive(in)
	if o.guard != nil {
		go o.answer()
	}
	return nil
}

// takeOuter returns the socket to the fstrace above, for this session alone. It is
// another descriptor, as the first may belong to no poller: it may have been blocking
// when it came.
func (l *Launch) takeOuter() (*os.File, error) {
	defer l.closeOuter()
	fd, err := duplicate(l.Outer)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "outer"), nil
}

// ask asks to be served.
func (o *outer) ask(in *incoming) error {
	c := o.session.cmd
	m := nested.Join{PID: o.session.root.pid, Guard: c.Guard != nil, Linked: c.Lifecycle == LifecyclePtrace, Child: c.Adopt == nil}
	if _, err := o.conn.Write(m.Append(nil)); err != nil {
		return fmt.Errorf("ask it: %w", err)
	}
	if err := o.conn.SetReadDeadline(time.Now().Add(joinPatience)); err != nil {
		return err
	}
	for {
		kind, body, err := in.next()
		if err != nil {
			return err
		}
		switch kind {
		case nested.KindGuard:
			if o.guard = in.takeFile(); o.guard == nil {
				return errUnexpected
			}
		case nested.KindMounts:
			if err := o.mounts(body); err != nil {
				return err
			}
		case nested.KindJoined:
			if m.Guard != (o.guard != nil) {
				return errUnexpected
			}
			return o.conn.SetReadDeadline(time.Time{})
		case nested.KindRefused:
			var m nested.Refused
			if err := m.Decode(body); err != nil {
				return err
			}
			return errors.New(m.Reason)
		default:
			return errUnexpected
		}
	}
}

// receive takes events, until there are no more.
func (o *outer) receive(in *incoming) {
	defer close(o.done)
	defer o.broken.Store(true)
	for {
		kind, body, err := in.next()
		if err != nil {
			return
		}
		o.came.Add(1)
		switch kind {
		case nested.KindEvent:
			e, err := nested.DecodeEvent(body)
			if err != nil {
				return
			}
			o.session.queue.addOuter(e, len(body))
		case nested.KindMounts:
			if o.mounts(body) != nil {
				return
			}
		case nested.KindDone:
			o.whole = o.end.Decode(body) == nil
			return
		default:
			return
		}
	}
}

func (o *outer) mounts(body []byte) error {
	var m nested.Mounts
	if err := m.Decode(body); err != nil {
		return err
	}
	o.session.served.Set(m.Paths)
	return nil
}

// signalAll signals all processes of the session, and those that will be. It reports
// whether the outer fstrace can be asked to.
func (o *outer) signalAll(sig unix.Signal) bool {
	if o.broken.Load() {
		return false
	}
	_, err := o.conn.Write((&nested.Signal{Signal: int(sig)}).Append(nil))
	if sig != unix.SIGKILL {
		return err == nil
	}
	o.killed.Store(true)
	return false // the command's own process is killed here, too, whatever that one does
}

// finish waits for the last events, when the command has ended; or all that it has
// started, if all are awaited.
func (o *outer) finish(all bool) {
	s := o.session
	_, err := o.conn.Write((&nested.Finish{All: all}).Append(nil))
	for silent, came := 0, o.came.Load(); err == nil; {
		const tick, ticks = 100 * time.Millisecond, 300 // counted: this process may be stopped
		select {
		case <-o.done:
			err = io.EOF
			continue
		case <-time.After(tick):
		}
		silent++
		if now := o.came.Load(); now != came {
			silent, came = 0, now
		}
		if silent > ticks && (!all || o.killed.Load()) {
			break
		}
	}
	o.close()
	if !o.whole {
		s.incomplete.add(events.ReasonNested, 0, "the fstrace above ended, or broke off, before this session's end")
		return
	}
	for _, g := range o.end.Gaps {
		s.incomplete.add(g.Reason, g.PID, g.Detail)
	}
	for _, p := range o.end.Left {
		s.incomplete.add(events.ReasonRunning, p.PID, stillRunning(p.Exe, p.Argv))
	}
}

// close breaks the service off: the launch has failed.
func (o *outer) close() {
	if o == nil {
		return
	}
	// A reader that waits has to be woken, whatever has been done to the socket by others
	// that have it.
	_ = control(o.conn, func(fd int) error { return unix.Shutdown(fd, unix.SHUT_RDWR) })
	o.conn.Close()
	<-o.done
	if o.guard != nil {
		o.guard.Close()
	}
}

// answer answers the questions to the guard.
func (o *outer) answer() {
	var pending atomic.Int64
	var write sync.Mutex
	room := make(chan struct{}, maxGuarded)
	reply := func(id uint64) {
		write.Lock()
		defer write.Unlock()
		_, _ = o.guard.Write((&nested.Answer{ID: id}).Append(nil)) // who does not get it gives up
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		const sign = time.Second
		ticker := time.NewTicker(sign)
		defer ticker.Stop()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				if pending.Load() > 0 {
					reply(0)
				}
			}
		}
	}()
	b := make([]byte, nested.MaxQuestion)
	for {
		n, err := o.guard.Read(b)
		if n == 0 || err != nil {
			return
		}
		var q nested.Question
		if q.Decode(b[:n]) != nil {
			return
		}
		pending.Add(1)
		room <- struct{}{}
		go func() {
			o.session.cmd.Guard(q.Op, q.Path, q.Info)
			reply(q.ID)
			pending.Add(-1)
			<-room
		}()
	}
}

// An incoming is what comes from the outer fstrace.
type incoming struct {
	conn  *os.File
	b     []byte // not yet taken
	room  []byte
	files []int
}

func newIncoming(conn *os.File) *incoming {
	return &incoming{conn: conn, room: make([]byte, 0, 256<<10)}
}

// next returns the next message. Its body is valid until the next call.
func (in *incoming) next() (nested.Kind, []byte, error) {
	for {
		kind, body, rest, ok, err := nested.Next(in.b, nested.MaxMessage)
		if err != nil {
			return 0, nil, err
		}
		if ok {
			in.b = rest
			return kind, body, nil
		}
		if err := in.read(); err != nil {
			return 0, nil, err
		}
	}
}

// read reads what there is.
func (in *incoming) read() error {
	n := len(in.b)
	if n == cap(in.room) {
		in.room = make([]byte, 0, 2*n)
	}
	in.room = append(in.room[:0], in.b...)
	raw, err := in.conn.SyscallConn()
	if err != nil {
		return err
	}
	var got int
	var fds []int
	rawErr := raw.Read(func(fd uintptr) bool {
		got, fds, err = receiveDescriptors(int(fd), in.room[n:cap(in.room)])
		return err != unix.EAGAIN
	})
	in.files = append(in.files, fds...)
	switch {
	case rawErr != nil:
		return rawErr
	case err != nil:
		return err
	case got == 0:
		return errors.New("it has closed the connection")
	}
	in.b = in.room[:n+got]
	return nil
}

// takeFile returns the descriptor that has come, nil if there is none.
func (in *incoming) takeFile() *os.File {
	if len(in.files) == 0 {
		return nil
	}
	fd := in.files[0]
	in.files = in.files[1:]
	if err := unix.SetNonblock(fd, true); err != nil {
		unix.Close(fd)
		return nil
	}
	return os.NewFile(uintptr(fd), "guard")
}
