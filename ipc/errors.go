package ipc

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/fstrace/fstrace/ipc/internal/varlink"
)

// An Error is an error reply of a server. errors.Is compares only names.
type Error struct {
	// Name is the full name of the error, as in the schema.
	Name string
	// Parameters are the parameters of the error, as in the schema.
	Parameters json.RawMessage
}

// Errors of the protocol, for use with errors.Is. docs/protocol.md explains them.
var (
	ErrNoSuchSession      = &Error{Name: Interface + ".NoSuchSession"}
	ErrSessionEnded       = &Error{Name: Interface + ".SessionEnded"}
	ErrReplayGone         = &Error{Name: Interface + ".ReplayGone"}
	ErrNoManifest         = &Error{Name: Interface + ".NoManifest"}
	ErrCannotRun          = &Error{Name: Interface + ".CannotRun"}
	ErrLaunchVersion      = &Error{Name: Interface + ".LaunchVersion"}
	ErrTooManySessions    = &Error{Name: Interface + ".TooManySessions"}
	ErrTooManyConnections = &Error{Name: Interface + ".TooManyConnections"}
	ErrTooManyRequests    = &Error{Name: Interface + ".TooManyRequests"}
	ErrMessageTooLarge    = &Error{Name: Interface + ".MessageTooLarge"}
	ErrTooManyDescriptors = &Error{Name: Interface + ".TooManyDescriptors"}
	ErrTooMuchMemory      = &Error{Name: Interface + ".TooMuchMemory"}
	ErrDescriptorsLost    = &Error{Name: Interface + ".DescriptorsLost"}
	ErrBadMessage         = &Error{Name: Interface + ".BadMessage"}
	ErrNotPermitted       = &Error{Name: Interface + ".NotPermitted"}
	ErrShuttingDown       = &Error{Name: Interface + ".ShuttingDown"}

	ErrInterfaceNotFound = &Error{Name: ServiceInterface + ".InterfaceNotFound"}
	ErrMethodNotFound    = &Error{Name: ServiceInterface + ".MethodNotFound"}
	ErrInvalidParameter  = &Error{Name: ServiceInterface + ".InvalidParameter"}
	ErrExpectedMore      = &Error{Name: ServiceInterface + ".ExpectedMore"}
)

// ErrGone means that the connection ended before the answer: the daemon has ended or was
// killed.
var ErrGone = errors.New("fstraced has ended")

// newError makes an error with parameters, given as names and values in turn.
func newError(kind *Error, parameters ...any) *Error {
	m := make(map[string]any, len(parameters)/2)
	for i := 0; i+1 < len(parameters); i += 2 {
		m[fmt.Sprint(parameters[i])] = parameters[i+1]
	}
	data, err := varlink.Encode(m)
	if err != nil {
		data = nil
	}
	return &Error{Name: kind.Name, Parameters: data}
}

func invalidParameter(name string) *Error {
	return newError(ErrInvalidParameter, "parameter", name)
}

// decodeParameters decodes the parameters of a call into a struct. The error, if any, is
// [ErrInvalidParameter] with the parameter that is wrong.
func decodeParameters(data json.RawMessage, into any) error {
	err := varlink.DecodeParameters(data, into)
	var wrong *varlink.ParameterError
	if errors.As(err, &wrong) {
		return invalidParameter(wrong.Name)
	}
	return err
}

// Error returns the message, if the server sent one. Otherwise it describes the error and
// names its object.
func (e *Error) Error() string {
	p := e.parameters()
	if message, ok := p["message"].(string); ok && message != "" {
		return message
	}
	words := map[string]string{
		ErrNoSuchSession.Name:      "no such session: %v",
		ErrSessionEnded.Name:       "the session has ended: %v",
		ErrTooManySessions.Name:    "fstraced runs too many sessions: the limit is %v",
		ErrTooManyConnections.Name: "fstraced has too many connections: the limit is %v",
		ErrTooManyRequests.Name:    "too many requests wait on this connection: the limit is %v",
		ErrMessageTooLarge.Name:    "the message is too large: the limit is %v bytes",
		ErrTooManyDescriptors.Name: "too many descriptors with a message: the limit is %v",
		ErrTooMuchMemory.Name:      "the message needs more memory than fstraced may use for all its clients, %v bytes: see fstraced --max-memory",
		ErrDescriptorsLost.Name:    "fstraced has no descriptors left to receive those of the message",
		ErrShuttingDown.Name:       "fstraced is shutting down and starts no more commands",
		ErrInvalidParameter.Name:   "invalid parameter: %v",
		ErrMethodNotFound.Name:     "fstraced has no such method: %v",
		ErrInterfaceNotFound.Name:  "fstraced has no such interface: %v",
		ErrExpectedMore.Name:       "the method must be called with more",
	}[e.Name]
	if e.Name == ErrLaunchVersion.Name {
		return fmt.Sprintf("launch version %v of this fstrace differs from %v of fstraced: restart fstraced", p["version"], p["wanted"])
	}
	if words == "" {
		return "fstraced: " + e.Name + " " + string(e.Parameters)
	}
	if !strings.Contains(words, "%v") {
		return words
	}
	for _, name := range []string{"session", "limit", "parameter", "method", "interface"} {
		if v, ok := p[name]; ok {
			return fmt.Sprintf(words, v)
		}
	}
	return fmt.Sprintf(words, string(e.Parameters))
}

// ProcessEnded reports whether the server has ended the process that the client passed on
// with Run, because it could not become the command.
func (e *Error) ProcessEnded() bool {
	ended, _ := e.parameters()["ended"].(bool)
	return ended
}

// parameters decodes what the error came with. Numbers keep their digits.
func (e *Error) parameters() map[string]any {
	d := json.NewDecoder(strings.NewReader(string(e.Parameters)))
	d.UseNumber()
	var p map[string]any
	if err := d.Decode(&p); err != nil {
		return nil
	}
	return p
}

// Is reports whether target is an *Error with the same name.
func (e *Error) Is(target error) bool {
	var other *Error
	return errors.As(target, &other) && other.Name == e.Name
}
