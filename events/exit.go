package events

import (
	"encoding/json"
	"errors"
	"strconv"

	"github.com/fstrace/fstrace/internal/jsonstring"
)

// An Exit says how a process ended. As JSON it is {"code":3}, {"signal":"SIGKILL"} or
// {"signal":"SIGSEGV","core":true}.
type Exit struct {
	Code   int    `json:"code"`   // exit status, 0 to 255, if Signal is empty
	Signal string `json:"signal"` // name of the signal that killed it, as "SIGKILL"
	Core   bool   `json:"core"`   // it dumped core
}

// String returns "exit status 3" or "killed by SIGKILL".
func (x Exit) String() string {
	if x.Signal != "" {
		return "killed by " + x.Signal
	}
	return "exit status " + strconv.Itoa(x.Code)
}

// MarshalJSON implements [json.Marshaler].
func (x Exit) MarshalJSON() ([]byte, error) {
	return append(appendExit([]byte{'{'}, &x), '}'), nil
}

// UnmarshalJSON implements [json.Unmarshaler]. It requires a code or a signal.
func (x *Exit) UnmarshalJSON(b []byte) error {
	var w wireExit
	if err := json.Unmarshal(b, &w); err != nil {
		return err
	}
	e := w.exit()
	if e == nil {
		return errors.New("exit: neither a code nor a signal")
	}
	*x = *e
	return nil
}

type wireExit struct {
	Code   *int   `json:"code"`
	Signal string `json:"signal"`
	Core   bool   `json:"core"`
}

// exit returns nil if there is none.
func (w *wireExit) exit() *Exit {
	switch {
	case w.Signal != "":
		return &Exit{Signal: w.Signal, Core: w.Core}
	case w.Code != nil:
		return &Exit{Code: *w.Code}
	}
	return nil
}

// appendExit appends the fields of x, without braces: an event has them beside
// its others.
func appendExit(b []byte, x *Exit) []byte {
	if x.Signal == "" {
		b = append(b, `"code":`...)
		return strconv.AppendInt(b, int64(x.Code), 10)
	}
	b = jsonstring.AppendField(b, `"signal`, x.Signal)
	if x.Core {
		b = append(b, `,"core":true`...)
	}
	return b
}
