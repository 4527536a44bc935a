package harness

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

// A Record is one in the JSONL format. It is decoded without the package that encoded it,
// as a consumer in another language does.
type Record struct {
	Header  map[string]any
	Events  []Event
	Trailer map[string]any
}

// Complete reports whether the record says that nothing is missing.
func (r *Record) Complete() bool { return r.Trailer["complete"] == true }

// Reasons returns the reasons why the record is incomplete.
func (r *Record) Reasons() []string {
	var all []string
	list, _ := r.Trailer["incomplete"].([]any)
	for _, x := range list {
		m, _ := x.(map[string]any)
		all = append(all, StringField(m, "reason"))
	}
	return all
}

// Opened fails the test unless the record says that the program exe opened a file.
func (r *Record) Opened(t *testing.T, exe, path string) {
	t.Helper()
	runs := map[int]string{}
	for _, e := range r.Events {
		switch {
		case e.Op == "exec" && e.Syscall == "", e.Op == "start":
			runs[e.PID] = e.Exe
		case e.Op == "read" && e.Path == path && runs[e.PID] == exe:
			return
		}
	}
	t.Errorf("the record does not have %s opening %s", exe, path)
}

// Did returns each different event once, without the numbers of processes, and without
// the results of calls that were recorded, which may be more or fewer.
func (r *Record) Did() []string {
	var list []string
	for i := range r.Events {
		e := r.Events[i]
		e.Seq, e.PID, e.TID, e.PPID, e.Result = 0, 0, 0, 0, ""
		list = append(list, fmt.Sprintf("%+v", e))
	}
	slices.Sort(list)
	return slices.Compact(list)
}

// An Event is one line of a record between the first and the last. Strings that the
// record has as base64 are decoded.
type Event struct {
	Seq, PID, TID, PPID int
	Op, Syscall, ABI    string
	Path, As, State     string
	To, ToAs, ToState   string
	Target, Real        string
	Address, Result     string
	Flags               []string
	Links               []Link
	Argv                []string
	Exe, Cwd            string
	Code                int    // of an exit
	Signal              string // of an exit
}

// A Link is a symbolic link that was followed.
type Link struct{ Path, Target string }

// ReadRecord reads a record in the JSONL format. It fails the test unless the record is
// whole: a header, events, and a last line.
func ReadRecord(t testing.TB, path string) *Record {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()

	var lines []map[string]any
	in := bufio.NewScanner(f)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		var m map[string]any
		if err := json.Unmarshal(in.Bytes(), &m); err != nil {
			t.Fatalf("%s:%d: %v\n%s", path, len(lines)+1, err, in.Bytes())
		}
		lines = append(lines, m)
	}
	if err := in.Err(); err != nil {
		t.Fatal(err)
	}
	if len(lines) < 2 {
		t.Fatalf("%s: %d lines are no record", path, len(lines))
	}
	r := &Record{Header: lines[0], Trailer: lines[len(lines)-1]}
	if _, ok := r.Header["fstrace"]; !ok {
		t.Fatalf("%s: no header: %v", path, r.Header)
	}
	if _, ok := r.Trailer["end"]; !ok {
		t.Fatalf("%s: cut off after %v", path, r.Trailer)
	}
	for _, m := range lines[1 : len(lines)-1] {
		r.Events = append(r.Events, toEvent(m))
	}
	return r
}

func toEvent(m map[string]any) Event {
	e := Event{
		Seq: IntField(m, "seq"), PID: IntField(m, "pid"), TID: IntField(m, "tid"), PPID: IntField(m, "ppid"),
		Op: StringField(m, "op"), Syscall: StringField(m, "syscall"), ABI: StringField(m, "abi"),
		Path: StringField(m, "path"), As: StringField(m, "as"), State: StringField(m, "state"),
		To: StringField(m, "to"), ToAs: StringField(m, "toAs"), ToState: StringField(m, "toState"),
		Target: StringField(m, "target"), Real: StringField(m, "real"), Address: StringField(m, "address"),
		Result: resultField(m), Flags: stringsField(m, "flags"), Argv: stringsField(m, "argv"),
		Exe: StringField(m, "exe"), Cwd: StringField(m, "cwd"),
		Code: IntField(m, "code"), Signal: StringField(m, "signal"),
	}
	list, _ := m["links"].([]any)
	for _, x := range list {
		l, _ := x.(map[string]any)
		e.Links = append(e.Links, Link{StringField(l, "path"), StringField(l, "target")})
	}
	return e
}

// resultField returns a call's result: "0", the name of an error, or "" if it is not
// known.
func resultField(m map[string]any) string {
	if m["result"] == 0.0 {
		return "0"
	}
	return StringField(m, "result")
}

// IntField returns a number, 0 if there is none of that name.
func IntField(m map[string]any, key string) int {
	n, _ := m[key].(float64)
	return int(n)
}

// StringField returns a string, "" if there is none of that name. One that is not UTF-8
// stands under another name, as base64.
func StringField(m map[string]any, key string) string {
	if s, ok := m[key+"Base64"].(string); ok {
		return unbase64(s)
	}
	s, _ := m[key].(string)
	return s
}

func stringsField(m map[string]any, key string) []string {
	list, _ := m[key].([]any)
	decode := strings.Clone
	if b, ok := m[key+"Base64"].([]any); ok {
		list, decode = b, unbase64
	}
	var all []string
	for _, x := range list {
		s, _ := x.(string)
		all = append(all, decode(s))
	}
	return all
}

// unbase64 returns what s encodes, or a string that no test expects.
func unbase64(s string) string {
	b, err := base64.StdEncoding.DecodeString(s)
	if err != nil {
		return "not base64: " + s
	}
	return string(b)
}
