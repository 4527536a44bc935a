package events

import (
	"errors"
	"fmt"
	"time"
)

// The wire types are the lines as encoding/json reads them. A []byte is base64
// there.

type (
	wireString  string
	wireStrings []string
)

// string returns the value of a field that came as text or as bytes.
func (s wireString) string(b []byte) string {
	if b != nil {
		return string(b)
	}
	return string(s)
}

func (s wireStrings) strings(b [][]byte) []string {
	if b == nil {
		return s
	}
	list := make([]string, len(b))
	for i := range b {
		list[i] = string(b[i])
	}
	return list
}

type wireHeader struct {
	Fstrace      *int        `json:"fstrace"`
	Session      wireString  `json:"session"`
	SessionBytes []byte      `json:"sessionBase64"`
	Argv         wireStrings `json:"argv"`
	ArgvBytes    [][]byte    `json:"argvBase64"`
	Cwd          wireString  `json:"cwd"`
	CwdBytes     []byte      `json:"cwdBase64"`
}

type wireLink struct {
	Path        wireString `json:"path"`
	PathBytes   []byte     `json:"pathBase64"`
	Target      wireString `json:"target"`
	TargetBytes []byte     `json:"targetBase64"`
}

// wireLine is an event or, if it has an "end", the trailer: which of them is
// known only once the line is read.
type wireLine struct {
	Seq         uint64      `json:"seq"`
	Time        string      `json:"time"`
	PID         int         `json:"pid"`
	TID         int         `json:"tid"`
	Op          string      `json:"op"`
	Syscall     string      `json:"syscall"`
	ABI         string      `json:"abi"`
	Path        wireString  `json:"path"`
	PathBytes   []byte      `json:"pathBase64"`
	As          wireString  `json:"as"`
	AsBytes     []byte      `json:"asBase64"`
	Flags       []string    `json:"flags"`
	State       string      `json:"state"`
	To          wireString  `json:"to"`
	ToBytes     []byte      `json:"toBase64"`
	ToAs        wireString  `json:"toAs"`
	ToAsBytes   []byte      `json:"toAsBase64"`
	ToState     string      `json:"toState"`
	Target      wireString  `json:"target"`
	TargetBytes []byte      `json:"targetBase64"`
	Links       []wireLink  `json:"links"`
	Real        wireString  `json:"real"`
	RealBytes   []byte      `json:"realBase64"`
	Address     wireString  `json:"address"`
	AddrBytes   []byte      `json:"addressBase64"`
	PPID        int         `json:"ppid"`
	Argv        wireStrings `json:"argv"`
	ArgvBytes   [][]byte    `json:"argvBase64"`
	Exe         wireString  `json:"exe"`
	ExeBytes    []byte      `json:"exeBase64"`
	Cwd         wireString  `json:"cwd"`
	CwdBytes    []byte      `json:"cwdBase64"`
	wireExit

	End        *string           `json:"end"`
	Exit       wireExit          `json:"exit"`
	Complete   *bool             `json:"complete"`
	Incomplete []wireIncomplete  `json:"incomplete"`
	Counts     map[string]uint64 `json:"counts"`
}

type wireIncomplete struct {
	Reason      Reason     `json:"reason"`
	PID         int        `json:"pid"`
	Detail      wireString `json:"detail"`
	DetailBytes []byte     `json:"detailBase64"`
}

func (w *wireLine) event() (*Event, error) {
	op, ok := ParseOp(w.Op)
	if !ok {
		return nil, fmt.Errorf("unknown op %q", w.Op)
	}
	at, err := parseTime(w.Time)
	if err != nil {
		return nil, err
	}
	state, err := parseStateField(w.State)
	if err != nil {
		return nil, err
	}
	toState, err := parseStateField(w.ToState)
	if err != nil {
		return nil, err
	}
	e := &Event{
		Seq: w.Seq, Time: at, PID: w.PID, TID: w.TID, Op: op,
		Syscall: w.Syscall, ABI: w.ABI,
		Path: w.Path.string(w.PathBytes), As: w.As.string(w.AsBytes),
		To: w.To.string(w.ToBytes), ToAs: w.ToAs.string(w.ToAsBytes),
		Target: w.Target.string(w.TargetBytes),
		Flags:  w.Flags, State: state, ToState: toState,
		Real: w.Real.string(w.RealBytes), Address: w.Address.string(w.AddrBytes),
		PPID: w.PPID, Argv: w.Argv.strings(w.ArgvBytes),
		Exe: w.Exe.string(w.ExeBytes), Cwd: w.Cwd.string(w.CwdBytes),
		Exit: w.exit(),
	}
	for i := range w.Links {
		l := &w.Links[i]
		e.Links = append(e.Links, Link{Path: l.Path.string(l.PathBytes), Target: l.Target.string(l.TargetBytes)})
	}
	return e, nil
}

func (w *wireLine) trailer() (*Trailer, error) {
	end, err := parseTime(*w.End)
	if err != nil {
		return nil, err
	}
	exit := w.Exit.exit()
	if exit == nil {
		return nil, errors.New("neither an exit code nor a signal")
	}
	t := &Trailer{End: end, Exit: *exit}
	for i := range w.Incomplete {
		r := &w.Incomplete[i]
		t.Incomplete = append(t.Incomplete, Incomplete{Reason: r.Reason, PID: r.PID, Detail: r.Detail.string(r.DetailBytes)})
	}
	// A Trailer is complete if no reason stands against it, so a record that
	// calls itself incomplete and names none must not pass.
	if w.Complete == nil || *w.Complete != t.Complete() {
		return nil, errors.New("its complete and incomplete disagree")
	}
	for word, n := range w.Counts {
		if op, ok := ParseOp(word); ok {
			t.Counts[op] = n
		}
	}
	return t, nil
}

func parseStateField(word string) (State, error) {
	if word == "" {
		return StateNone, nil
	}
	s, ok := ParseState(word)
	if !ok {
		return s, fmt.Errorf("unknown state %q", word)
	}
	return s, nil
}

func parseTime(s string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, s)
	if err != nil {
		return t, err
	}
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 { // an offset led out of what RFC 3339 can say
		return t, fmt.Errorf("time %q: year %d", s, y)
	}
	return t, nil
}
