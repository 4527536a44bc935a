package events

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/fstrace/fstrace/internal/jsonstring"
)

// The wire types are the lines as encoding/json reads them. A []byte is base64
// there.

type wireHeader struct {
	Fstrace      *int     `json:"fstrace"`
	Session      string   `json:"session"`
	SessionBytes []byte   `json:"sessionBase64"`
	Argv         []string `json:"argv"`
	ArgvBytes    [][]byte `json:"argvBase64"`
	Cwd          string   `json:"cwd"`
	CwdBytes     []byte   `json:"cwdBase64"`
}

type wireLink struct {
	Path        string `json:"path"`
	PathBytes   []byte `json:"pathBase64"`
	Target      string `json:"target"`
	TargetBytes []byte `json:"targetBase64"`
}

// A wireResult is the number 0, or the name of an error.
type wireResult string

// UnmarshalJSON implements json.Unmarshaler.
func (r *wireResult) UnmarshalJSON(b []byte) error {
	if string(b) == Succeeded {
		*r = Succeeded
		return nil
	}
	var name string
	if err := json.Unmarshal(b, &name); err != nil || name == "" || name[0] != 'E' {
		return fmt.Errorf("%s is neither 0 nor the name of an error", b)
	}
	*r = wireResult(name)
	return nil
}

// wireLine is an event or, if it has an "end", the trailer: which of them is
// known only once the line is read.
type wireLine struct {
	Seq         uint64     `json:"seq"`
	Time        string     `json:"time"`
	PID         int        `json:"pid"`
	TID         int        `json:"tid"`
	Op          string     `json:"op"`
	Syscall     string     `json:"syscall"`
	ABI         string     `json:"abi"`
	Path        string     `json:"path"`
	PathBytes   []byte     `json:"pathBase64"`
	As          string     `json:"as"`
	AsBytes     []byte     `json:"asBase64"`
	Flags       []string   `json:"flags"`
	State       string     `json:"state"`
	To          string     `json:"to"`
	ToBytes     []byte     `json:"toBase64"`
	ToAs        string     `json:"toAs"`
	ToAsBytes   []byte     `json:"toAsBase64"`
	ToState     string     `json:"toState"`
	Target      string     `json:"target"`
	TargetBytes []byte     `json:"targetBase64"`
	Links       []wireLink `json:"links"`
	Real        string     `json:"real"`
	RealBytes   []byte     `json:"realBase64"`
	Address     string     `json:"address"`
	AddrBytes   []byte     `json:"addressBase64"`
	Result      wireResult `json:"result"`
	PPID        int        `json:"ppid"`
	Argv        []string   `json:"argv"`
	ArgvBytes   [][]byte   `json:"argvBase64"`
	Exe         string     `json:"exe"`
	ExeBytes    []byte     `json:"exeBase64"`
	Cwd         string     `json:"cwd"`
	CwdBytes    []byte     `json:"cwdBase64"`
	wireExit

	End        *string           `json:"end"`
	Exit       wireExit          `json:"exit"`
	Complete   *bool             `json:"complete"`
	Incomplete []wireIncomplete  `json:"incomplete"`
	Counts     map[string]uint64 `json:"counts"`
}

type wireIncomplete struct {
	Reason      Reason `json:"reason"`
	PID         int    `json:"pid"`
	Detail      string `json:"detail"`
	DetailBytes []byte `json:"detailBase64"`
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
		Path: jsonstring.Join(w.Path, w.PathBytes), As: jsonstring.Join(w.As, w.AsBytes),
		To: jsonstring.Join(w.To, w.ToBytes), ToAs: jsonstring.Join(w.ToAs, w.ToAsBytes),
		Target: jsonstring.Join(w.Target, w.TargetBytes),
		Flags:  w.Flags, State: state, ToState: toState,
		Real: jsonstring.Join(w.Real, w.RealBytes), Address: jsonstring.Join(w.Address, w.AddrBytes),
		Result: string(w.Result), PPID: w.PPID, Argv: jsonstring.JoinAll(w.Argv, w.ArgvBytes),
		Exe: jsonstring.Join(w.Exe, w.ExeBytes), Cwd: jsonstring.Join(w.Cwd, w.CwdBytes),
		Exit: w.exit(),
	}
	for i := range w.Links {
		l := &w.Links[i]
		e.Links = append(e.Links, Link{Path: jsonstring.Join(l.Path, l.PathBytes), Target: jsonstring.Join(l.Target, l.TargetBytes)})
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
		t.Incomplete = append(t.Incomplete, Incomplete{Reason: r.Reason, PID: r.PID, Detail: jsonstring.Join(r.Detail, r.DetailBytes)})
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
