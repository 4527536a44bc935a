package main_test

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// builtFstrace is the program under test, built once and kept in memory: with
// no file that outlives the tests there is none to clean up after them.
var builtFstrace = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "fstrace-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "fstrace")
	build := exec.Command("go", "build", "-trimpath", "-ldflags=-E=fstrace_entry", "-o", exe,
		"github.com/fstrace/fstrace/cmd/fstrace") // as the Makefile does
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w\n%s", err, out)
	}
	return os.ReadFile(exe)
})

// fstraceBinary returns the path of the program under test, in a directory
// that any user may search and that goes with the test.
func fstraceBinary(t testing.TB) string {
	t.Helper()
	needTool(t, "go")
	content, err := builtFstrace()
	if err != nil {
		t.Fatal(err)
	}
	exe := filepath.Join(openDir(t), "fstrace")
	writeExecutable(t, exe, content)
	return exe
}

// writeExecutable writes a program such that it can be run at once: a child
// forked meanwhile would hold the file open for writing until its own exec,
// and ours would fail with ETXTBSY.
func writeExecutable(t testing.TB, path string, content []byte) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o755); err != nil { // whatever the umask
		t.Fatal(err)
	}
}

// A record is one in the JSON format, decoded without the package that encoded
// it: these tests look at it as a consumer in another language does.
type record struct {
	Header  map[string]any
	Events  []event
	Trailer map[string]any
}

// complete is the trailer's word on whether anything may be missing.
func (r *record) complete() bool { return r.Trailer["complete"] == true }

// reasons are those the trailer gives for being incomplete.
func (r *record) reasons() []string {
	var all []string
	list, _ := r.Trailer["incomplete"].([]any)
	for _, x := range list {
		m, _ := x.(map[string]any)
		all = append(all, stringField(m, "reason"))
	}
	return all
}

// An event is one line of a record between the first and the last. Strings that
// the record gives as base64 stand here as the bytes they mean.
type event struct {
	Seq, PID, TID, PPID int
	Op, Syscall, ABI    string
	Path, As, State     string
	To, ToAs, ToState   string
	Target, Real        string
	Address             string
	Flags               []string
	Links               []link
	Argv                []string
	Exe, Cwd            string
	Code                int    // of an exit
	Signal              string // of an exit
}

// A link is a symbolic link that was followed.
type link struct{ Path, Target string }

// readRecord reads a record in the JSON format, and fails the test unless it
// is whole: a header, events, and a last line.
func readRecord(t testing.TB, path string) *record {
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
	r := &record{Header: lines[0], Trailer: lines[len(lines)-1]}
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

func toEvent(m map[string]any) event {
	e := event{
		Seq: intField(m, "seq"), PID: intField(m, "pid"), TID: intField(m, "tid"), PPID: intField(m, "ppid"),
		Op: stringField(m, "op"), Syscall: stringField(m, "syscall"), ABI: stringField(m, "abi"),
		Path: stringField(m, "path"), As: stringField(m, "as"), State: stringField(m, "state"),
		To: stringField(m, "to"), ToAs: stringField(m, "toAs"), ToState: stringField(m, "toState"),
		Target: stringField(m, "target"), Real: stringField(m, "real"), Address: stringField(m, "address"),
		Flags: stringsField(m, "flags"), Argv: stringsField(m, "argv"),
		Exe: stringField(m, "exe"), Cwd: stringField(m, "cwd"),
		Code: intField(m, "code"), Signal: stringField(m, "signal"),
	}
	list, _ := m["links"].([]any)
	for _, x := range list {
		l, _ := x.(map[string]any)
		e.Links = append(e.Links, link{stringField(l, "path"), stringField(l, "target")})
	}
	return e
}

func intField(m map[string]any, key string) int {
	n, _ := m[key].(float64)
	return int(n)
}

// stringField is the field's value, which is given as base64 under another name
// if it is not UTF-8.
func stringField(m map[string]any, key string) string {
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
