package ipc

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

// A call is what a client sends.
type call struct {
	Method     string          `json:"method"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	More       bool            `json:"more,omitempty"`
	Oneway     bool            `json:"oneway,omitempty"`
	Upgrade    bool            `json:"upgrade,omitempty"`
}

// A reply is what the server sends.
type reply struct {
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Continues  bool            `json:"continues,omitempty"`
	Error      string          `json:"error,omitempty"`
}

// decodeCall reads a client's message. Fields that it does not know are passed over,
// as varlink has it; those of parameters are not.
func decodeCall(data []byte) (*call, error) {
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
	var c call
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

// decodeParameters reads parameters, as decodeCall has returned them, into a struct. It
// returns an *Error for the client, with the name of the parameter that is wrong. A field
// that is not known is an error: an option that has no effect would be worse.
func decodeParameters(data json.RawMessage, into any) error {
	data = bytes.TrimSpace(data)
	switch {
	case len(data) == 0 || string(data) == "null":
		return nil
	case data[0] != '{':
		return invalidParameter("parameters")
	}
	var wrong *fault
	if err := inspect(data, reflect.TypeOf(into)); errors.As(err, &wrong) {
		return invalidParameter(cmp.Or(wrong.name, "parameters"))
	}
	if err := json.Unmarshal(data, into); err != nil {
		return invalidParameter(nameOf(err, data, into))
	}
	return nil
}

// nameOf returns the parameter that an error is about. Not every error tells.
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

// encode is json.Marshal without escaping what only matters within HTML.
func encode(v any) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, fmt.Errorf("encode message: %w", err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte{'\n'}), nil
}

// A text is a string that need not be UTF-8, in the two fields that it has.
func toText(s string) (text *string, b64 []byte) {
	if utf8.ValidString(s) {
		return &s, nil
	}
	return nil, []byte(s)
}

func fromText(text *string, b64 []byte) string {
	if b64 != nil {
		return string(b64)
	}
	if text != nil {
		return *text
	}
	return ""
}

// toTexts is toText for lists: either all elements are text, or all bytes.
func toTexts(list []string) (text []string, b64 [][]byte) {
	for _, s := range list {
		if !utf8.ValidString(s) {
			for _, s := range list {
				b64 = append(b64, []byte(s))
			}
			return nil, b64
		}
	}
	if list == nil {
		list = []string{}
	}
	return list, nil
}

func fromTexts(text []string, b64 [][]byte) []string {
	if b64 == nil {
		return text
	}
	list := make([]string, len(b64))
	for i := range b64 {
		list[i] = string(b64[i])
	}
	return list
}
