package nested

import (
	"time"

	"github.com/fstrace/fstrace/events"
)

// AppendEvent appends the message of an event, with all that a sink in this process would
// have of it. Its number in the record is not sent.
func AppendEvent(b []byte, ev *events.Event) []byte {
	e, at := begin(b, KindEvent)
	e.int(ev.Time.UnixNano())
	e.int(int64(ev.PID))
	e.int(int64(ev.TID))
	e.uint(uint64(ev.Op))
	e.string(ev.Syscall)
	e.string(ev.ABI)
	e.string(ev.Path)
	e.string(ev.As)
	e.string(ev.To)
	e.string(ev.ToAs)
	e.string(ev.Target)
	e.strings(ev.Flags)
	e.uint(uint64(ev.State))
	e.uint(uint64(ev.ToState))
	e.uint(uint64(len(ev.Links)))
	for i := range ev.Links {
		e.string(ev.Links[i].Path)
		e.string(ev.Links[i].Target)
	}
	e.string(ev.Real)
	e.string(ev.Address)
	e.bool(ev.OtherNamespace)
	e.strings(ev.Left)
	e.info(&ev.Info)
	e.info(&ev.ToInfo)
	e.bool(ev.IsProcess())
	if ev.IsProcess() {
		e.int(int64(ev.PPID))
		e.strings(ev.Argv)
		e.string(ev.Exe)
		e.string(ev.Cwd)
		e.bool(ev.Exit != nil)
		if x := ev.Exit; x != nil {
			e.int(int64(x.Code))
			e.string(x.Signal)
			e.bool(x.Core)
		}
	}
	return e.end(at)
}

// DecodeEvent reads an event's fields.
func DecodeEvent(b []byte) (*events.Event, error) {
	d := decoder{b: b}
	ev := &events.Event{
		Time: time.Unix(0, d.int()), PID: int(d.int()), TID: int(d.int()), Op: d.op(),
		Syscall: d.string(), ABI: d.string(), Path: d.string(), As: d.string(), To: d.string(), ToAs: d.string(),
		Target: d.string(), Flags: d.strings(), State: d.state(), ToState: d.state(),
	}
	if n := d.count(2); n > 0 {
		ev.Links = make([]events.Link, 0, n)
		for range n {
			ev.Links = append(ev.Links, events.Link{Path: d.string(), Target: d.string()})
		}
	}
	ev.Real, ev.Address, ev.OtherNamespace, ev.Left = d.string(), d.string(), d.bool(), d.strings()
	d.info(&ev.Info)
	d.info(&ev.ToInfo)
	if d.bool() != ev.IsProcess() {
		d.fail()
	}
	if ev.IsProcess() {
		ev.PPID, ev.Argv, ev.Exe, ev.Cwd = int(d.int()), d.strings(), d.string(), d.string()
		if d.bool() {
			ev.Exit = &events.Exit{Code: int(d.int()), Signal: d.string(), Core: d.bool()}
		}
	}
	if err := d.end(); err != nil {
		return nil, err
	}
	return ev, nil
}

// op reads an operation: one of those that have a name.
func (d *decoder) op() events.Op {
	v := d.uint()
	if v > 255 || v != 0 && events.Op(v).String() == "" {
		d.fail()
		return 0
	}
	return events.Op(v)
}

func (d *decoder) state() events.State {
	v := d.uint()
	if v > 255 || v != 0 && events.State(v).String() == "" {
		d.fail()
		return 0
	}
	return events.State(v)
}

func (e *encoder) info(f *events.FileInfo) {
	e.bool(*f != events.FileInfo{})
	if *f == (events.FileInfo{}) {
		return
	}
	for _, v := range [...]uint64{f.Dev, f.Ino, uint64(f.Mode), uint64(f.UID), uint64(f.GID), uint64(f.Nlink)} {
		e.uint(v)
	}
	for _, v := range [...]int64{f.Size, f.Mtime, f.Ctime} {
		e.int(v)
	}
}

func (d *decoder) info(f *events.FileInfo) {
	*f = events.FileInfo{}
	if !d.bool() {
		return
	}
	f.Dev, f.Ino = d.uint(), d.uint()
	for _, field := range [...]*uint32{&f.Mode, &f.UID, &f.GID, &f.Nlink} {
		v := d.uint()
		if v > 1<<32-1 {
			d.fail()
			return
		}
		*field = uint32(v)
	}
	f.Size, f.Mtime, f.Ctime = d.int(), d.int(), d.int()
}
