package varlink

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"unicode/utf8"
)

// A Call is what a client sends.
type Call struct {
	Method     string          `json:"method"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	More       bool            `json:"more,omitempty"`
	Oneway     bool            `json:"oneway,omitempty"`
	Upgrade    bool            `json:"upgrade,omitempty"`
}

// A Reply is what the server sends.
type Reply struct {
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Continues  bool            `json:"continues,omitempty"`
	Error      string          `json:"error,omitempty"`
}

// DecodeCall decodes a client's message. It ignores unknown fields, as varlink demands.
// [DecodeParameters] does not.
func DecodeCall(data []byte) (*Call, error) {
	if !utf8.Valid(data) { // encoding/json would put U+FFFD there and say nothing
		return nil, errors.New("not UTF-8")
	}
	if !json.Valid(data) {
		return nil, json.Unmarshal(data, new(json.RawMessage)) // what is wrong
	}
	i := inspector{data: data}
	if i.space(); data[i.at] != '{' {
		return nil, errors.New("not an object")
	}
	var c Call
	err := i.members("", true, func(key string) error {
		begin := i.at
		if key == "parameters" { // they are inspected when their type is known
			i.skip()
			c.Parameters = bytes.TrimSpace(data[begin:i.at])
			return nil
		}
		if err := i.value(nil, key, false); err != nil {
			return err
		}
		into, ok := map[string]any{"method": &c.Method, "more": &c.More, "oneway": &c.Oneway, "upgrade": &c.Upgrade}[key]
		if !ok {
			return nil
		}
		return json.Unmarshal(data[begin:i.at], into)
	})
	if err != nil {
		return nil, err
	}
	switch {
	case c.Method == "":
		return nil, errors.New("no method")
	case c.Upgrade:
		return nil, errors.New("upgrade: there is nothing to upgrade to")
	case c.More && c.Oneway:
		return nil, errors.New("more and oneway exclude each other")
	}
	return &c, nil
}

// A ParameterError names a parameter that is wrong.
type ParameterError struct{ Name string }

func (e *ParameterError) Error() string { return "invalid parameter " + e.Name }

// DecodeParameters decodes the parameters of a [Call] into a struct. The error is a
// [*ParameterError]. An unknown field is an error: an option without effect would be
// worse. A field with the tag check:"nonempty" must not be an empty string.
func DecodeParameters(data json.RawMessage, into any) error {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0 || string(data) == "null":
		return nil
	case data[0] != '{':
		return &ParameterError{"parameters"}
	}
	var wrong *fault
	if err := inspect(data, reflect.TypeOf(into)); errors.As(err, &wrong) {
		return &ParameterError{cmp.Or(wrong.name, "parameters")}
	}
	if err := json.Unmarshal(data, into); err != nil {
		return &ParameterError{nameOf(err, data, into)}
	}
	return nil
}

// nameOf returns the parameter that an error is about. Not every error has it.
func nameOf(err error, data []byte, into any) string {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return wrong.Field
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return "parameters"
	}
	for _, name := range slices.Sorted(maps.Keys(members)) {
		alone := reflect.New(reflect.TypeOf(into).Elem()).Interface()
		data := fmt.Appendf(nil, `{%q:%s}`, name, members[name])
		if json.Unmarshal(data, alone) != nil {
			return name
		}
	}
	return "parameters"
}

// Encode is json.Marshal without escaping what only matters within HTML.
func Encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}
