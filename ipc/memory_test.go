package ipc

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

const manifestHead = `{"fstrace":1,"session":"x","command":{"argv":["x"],"cwd":"/","exit":{"code":0}},"complete":true,"incomplete":[]`

// repeat returns the elements of an array of that many bytes.
func repeat(size int, element func(i int) string) string {
	var b strings.Builder
	for i := 0; b.Len() < size; i++ {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(element(i))
	}
	return b.String()
}

// absent is a manifest of that size: of inputs that are not there.
func absent(t testing.TB, size int) []byte {
	t.Helper()
	var inputs []manifest.Entry
	for i := range size / 48 { // bytes of an entry
		inputs = append(inputs, entryOf(fmt.Sprintf("/nowhere/%d", i), events.StateAbsent))
	}
	return manifestOf(t, inputs...)
}

// peakMemory is the most memory that a process has had, in MB.
func peakMemory(t testing.TB, p *os.Process) (mb int) {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscan(rest, &mb); err != nil {
		t.Fatal(err)
	}
	return mb >> 10
}

// TestMemory: messages that become a hundred times as large, alone or together, do not
// take the daemon's memory.
func TestMemory(t *testing.T) {
	client, daemon := startDaemon(t)
	const size = 2 << 20
	for name, doc := range map[string]string{
		"inputs":     `,"outputs":[],"inputs":[` + repeat(size, func(int) string { return "{}" }) + `]}`,
		"incomplete": `,"outputs":[],"inputs":[],"renamed":[` + repeat(size, func(int) string { return "{}" }) + `]}`,
		"only":       `,"outputs":[],"inputs":[],"only":[` + repeat(5<<20, func(int) string { return `"a"` }) + `]}`,
	} {
		call, err := varlink.Encode(wireCheck{Manifest: []byte(manifestHead + doc)})
		if err != nil {
			t.Fatal(err)
		}
		conn := rawConn(t, client)
		if err := varlink.Write(conn, fmt.Appendf(nil, `{"method":"io.fstrace.v1.Check","parameters":%s}`, call), nil); err != nil {
			t.Fatal(err)
		}
		if got := rawReply(t, varlink.NewReader(conn, 1<<20, 0)); got.Error != ErrTooMuchMemory.Name {
			t.Errorf("%s: %s %.200s", name, got.Error, got.Parameters)
		}
	}
	doc := absent(t, 1<<20)
	var wait sync.WaitGroup
	for range 3 {
		wait.Go(func() {
			if answer, err := client.Check(testContext(t), CheckRequest{Manifest: doc}); err != nil || answer.Status != "valid" {
				t.Errorf("%+v, %v", answer, err)
			}
		})
	}
	wait.Wait()
	// The race detector takes several times as much.
	if mb := peakMemory(t, daemon); mb > 900 {
		t.Errorf("the daemon has taken %d MB", mb)
	} else {
		t.Logf("the daemon has taken %d MB", mb)
	}
}

// TestDocuments: a manifest that is larger than any message comes and goes as a file, and
// so does a record.
func TestDocuments(t *testing.T) {
	client, s := startServer(t, func(c *Config) { c.Limits.MessageBytes = 10_000 })
	ctx := testContext(t)
	q := sh(t.TempDir(), "i=0; while [ $i -lt 300 ]; do [ -e absent$i ]; i=$((i+1)); done")
	q.Options.Manifest = true
	stream, err := client.Run(ctx, q)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	want, err := io.ReadAll(stream.Record())
	if err != nil {
		t.Fatal(err)
	}
	doc, err := client.Manifest(ctx, stream.Session())
	if err != nil || len(doc) < 10_000 {
		t.Fatalf("a manifest of %d bytes, %v", len(doc), err)
	}
	if n := s.gate.InUse(); n != 0 {
		t.Errorf("%d bytes for a file", n)
	}
	var inline wireManifest
	if err := client.call(ctx, "GetManifest", wireGetManifest{Session: stream.Session()}, &inline); err != nil || !bytes.Equal(bytes.TrimSpace(inline.Manifest), bytes.TrimSpace(doc)) {
		t.Errorf("within a message: %d bytes, %v", len(inline.Manifest), err)
	}
	file, err := memoryFile(doc)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var answer CheckResult
	err = client.callWith(ctx, "Check", wireCheck{Descriptor: new(int)}, []int{int(file.Fd())}, &answer)
	if err != nil || answer.Status != "valid" {
		t.Errorf("%+v, %v", answer, err)
	}

	record, err := client.Record(ctx, stream.Session())
	if err != nil {
		t.Fatal(err)
	}
	defer record.Close()
	if got, err := io.ReadAll(record); err != nil || !bytes.Equal(got, want) {
		t.Errorf("the record has %d bytes, want %d: %v", len(got), len(want), err)
	}
	if flags, err := unix.FcntlInt(record.Fd(), unix.F_GETFL, 0); err != nil || flags&unix.O_ACCMODE != unix.O_RDONLY {
		t.Errorf("flags %#x, %v", flags, err)
	}
	r, _, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if err := client.callWith(ctx, "Check", wireCheck{Descriptor: new(int)}, []int{int(r.Fd())}, &answer); !errors.Is(err, ErrInvalidParameter) {
		t.Errorf("a pipe: %v", err)
	}
}

// TestListCut: a list does not have all of a command's arguments.
func TestListCut(t *testing.T) {
	client, _ := startServer(t, func(c *Config) { c.newCommand = newFake(0) })
	s, err := client.Run(testContext(t), &RunRequest{Argv: strings.Split(strings.Repeat("x ", 10_000), " "), Env: []string{}, Cwd: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	list, err := client.List(testContext(t))
	if err != nil || len(list) != 1 || len(list[0].Argv) != listedBytes || !list[0].ArgvCut {
		t.Errorf("%d sessions, %v", len(list), err)
	}
}

// TestSessionsMemory: sessions' arguments are accounted for, until they are not kept.
func TestSessionsMemory(t *testing.T) {
	client, s := startServer(t, func(c *Config) {
		c.newCommand = newWaiting(0)
		c.Limits.MemoryBytes = 1 << 20
	})
	q := &RunRequest{Argv: []string{strings.Repeat("x", 200_000)}, Env: []string{}, Cwd: "/"}
	for range 2 {
		stream, err := client.Run(testContext(t), q)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close()
		defer func() { _ = client.Cancel(testContext(t), stream.Session(), 0) }()
	}
	if _, err := client.Run(testContext(t), q); !errors.Is(err, ErrTooMuchMemory) {
		t.Errorf("a third: %v", err)
	}
	list, err := client.List(testContext(t))
	if err != nil || len(list) != 2 {
		t.Fatalf("%d sessions, %v", len(list), err)
	}
	if err := client.Cancel(testContext(t), list[0].Session, 0); err != nil {
		t.Fatal(err)
	}
	harness.Eventually(t, "one that has ended makes room", func() bool {
		stream, err := client.Run(testContext(t), q)
		if err == nil {
			stream.Close()
		}
		return err == nil
	})
	if n := s.memory.InUse(); n > 1<<20 {
		t.Errorf("%d bytes", n)
	}
}

// TestBallast: what is there for the garbage collector's sake is not counted as memory in
// use.
func TestBallast(t *testing.T) {
	const size = 1 << 30
	client, _ := startServer(t, func(c *Config) { c.Ballast = make([]byte, size) })
	s, err := client.Statistics(testContext(t))
	if err != nil {
		t.Fatal(err)
	}
	if s.HeapBytes == 0 || s.HeapBytes >= size {
		t.Errorf("%d bytes are in use", s.HeapBytes)
	}
}
