package ipc

import (
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/fstrace/fstrace/testdata/harness"
)

// TestSubscribeFilter: a filter is for one reader alone, and hides accesses only.
func TestSubscribeFilter(t *testing.T) {
	client, _ := startServer(t, nil)
	ctx := testContext(t)
	s, err := client.Run(ctx, sh(t.TempDir(), "cat /etc/hostname /etc/hosts"))
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	all, trailer := readRecord(t, s)
	for _, v := range []View{{Only: []string{"/etc/host*"}}, {Ignore: []string{"/etc/hostname"}}, {Only: []string{"/etc/*"}, From: 10}} {
		filtered, err := client.SubscribeView(ctx, s.Session(), v)
		if err != nil {
			t.Fatal(err)
		}
		got, end := readRecord(t, filtered)
		filtered.Close()
		var want []uint64
		sink, err := events.Filter(pass(func(e *events.Event) { want = append(want, e.Seq) }), v.Only, v.Ignore)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range all {
			if e.Seq >= v.From {
				if err := sink.Event(e); err != nil {
					t.Fatal(err)
				}
			}
		}
		var seqs []uint64
		for _, e := range got {
			seqs = append(seqs, e.Seq)
		}
		if !slices.Equal(seqs, want) || len(want) == len(all) || end.Counts != trailer.Counts {
			t.Errorf("%+v: events %v, want %v", v, seqs, want)
		}
	}
	for name, v := range map[string]View{"only": {Only: []string{"["}}, "ignore": {Ignore: []string{""}}} {
		if _, err := client.SubscribeView(ctx, s.Session(), v); !errors.Is(err, ErrInvalidParameter) || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// pass is a sink of events.
type pass func(*events.Event)

func (p pass) Begin(*events.Header) error  { return nil }
func (p pass) Event(e *events.Event) error { p(e); return nil }
func (p pass) End(t *events.Trailer) error { return nil }

// TestBatch: replies have as many events as the client wants, and come when it wants.
func TestBatch(t *testing.T) {
	const n = 5000
	client, _ := startServer(t, func(c *Config) { c.newCommand = newFake(n) })
	ctx := testContext(t)
	id := runFake(t, client)
	for _, size := range []int{smallestBatch, 100_000} {
		s, err := client.SubscribeView(ctx, id, View{BatchBytes: &size})
		if err != nil {
			t.Fatal(err)
		}
		count, largest := 0, 0
		for {
			u, err := s.Next()
			if err == io.EOF {
				break
			}
			if err != nil {
				t.Fatal(err)
			}
			bytes := 0
			for _, e := range u.Events {
				bytes += len(e) + 1
			}
			count, largest = count+len(u.Events), max(largest, bytes)
		}
		s.Close()
		if count != n || largest > size || largest < size/2 {
			t.Errorf("batches of %d bytes: %d events, at most %d bytes", size, count, largest)
		}
	}
	for _, v := range []View{{BatchBytes: new(int)}, {Latency: time.Hour}, {Latency: -time.Second}} {
		if _, err := client.SubscribeView(ctx, id, v); !errors.Is(err, ErrInvalidParameter) {
			t.Errorf("%+v: %v", v, err)
		}
	}
}

// TestBatchMemory: large replies that nobody reads do not take the memory of all.
func TestBatchMemory(t *testing.T) {
	client, _ := startServer(t, func(c *Config) { c.newCommand, c.Limits.MemoryBytes = newWaiting(10), 20<<20 })
	ctx := testContext(t)
	size := largestBatch
	first, err := client.Run(ctx, &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/", Options: Options{BatchBytes: &size}})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := client.SubscribeView(ctx, first.Session(), View{BatchBytes: &size})
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if _, err := client.SubscribeView(ctx, first.Session(), View{BatchBytes: &size}); !errors.Is(err, ErrTooMuchMemory) {
		t.Errorf("a third: %v", err)
	}
	if third, err := client.Subscribe(ctx, first.Session(), 0); err != nil {
		t.Errorf("one of the usual size: %v", err)
	} else {
		third.Close()
	}
	second.Close()
	harness.Eventually(t, "there is room again", func() bool {
		third, err := client.SubscribeView(ctx, first.Session(), View{BatchBytes: &size})
		if err == nil {
			third.Close()
		}
		return err == nil
	})
}

// TestLatency: events wait for others for as long as the client lets them, not longer
// than the session.
func TestLatency(t *testing.T) {
	client, _ := startServer(t, func(c *Config) { c.newCommand = newWaiting(10) })
	ctx := testContext(t)
	for _, latency := range []time.Duration{time.Millisecond, longestLatency} {
		s, err := client.Run(ctx, &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/", Options: Options{LatencyMs: latency.Milliseconds()}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		if latency == longestLatency { // they would not come before the end
			harness.Eventually(t, "the events are there", func() bool {
				list, err := client.List(ctx)
				return err == nil && list[len(list)-1].Events == 10
			})
			if err := client.Cancel(ctx, s.Session(), 0); err != nil {
				t.Fatal(err)
			}
		}
		count, replies := 0, 0
		for count < 10 {
			u, err := s.Next()
			if err != nil {
				t.Fatal(err)
			}
			if len(u.Events) > 0 {
				count, replies = count+len(u.Events), replies+1
			}
		}
		if latency == longestLatency && replies != 1 {
			t.Errorf("%d replies", replies)
		}
		_ = client.Cancel(ctx, s.Session(), 0)
	}
}

// TestLabel: a client finds its session by the name that it gave it.
func TestLabel(t *testing.T) {
	client, _ := startServer(t, func(c *Config) { c.newCommand = newFake(1) })
	ctx := testContext(t)
	want := map[string]string{}
	for _, label := range []string{"", "one", "two"} {
		s, err := client.Run(ctx, &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/", Options: Options{Label: label}})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		readRecord(t, s)
		want[label] = s.Session()
	}
	for _, label := range []string{"one", "two"} {
		list, err := client.Labelled(ctx, label)
		if err != nil || len(list) != 1 || list[0].Session != want[label] || list[0].Label != label {
			t.Errorf("%s: %+v, %v", label, list, err)
		}
	}
	if list, err := client.Labelled(ctx, "three"); err != nil || len(list) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	_, err := client.Run(ctx, &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/", Options: Options{Label: strings.Repeat("x", longestLabel+1)}})
	if !errors.Is(err, ErrInvalidParameter) {
		t.Errorf("a long label: %v", err)
	}
}

// monitor begins to monitor, and returns what comes.
func watchSessions(t testing.TB, client *Client, parameters string) func() wireNotice {
	t.Helper()
	conn := rawConn(t, client)
	if err := varlink.Write(conn, []byte(`{"method":"io.fstrace.v1.Monitor","more":true,"parameters":`+parameters+`}`), nil); err != nil {
		t.Fatal(err)
	}
	r := varlink.NewReader(conn, 1<<20, 0)
	return func() (n wireNotice) {
		t.Helper()
		got := rawReply(t, r)
		if err := json.Unmarshal(got.Parameters, &n); err != nil || got.Error != "" || !got.Continues {
			t.Fatalf("%+v: %v", got, err)
		}
		return n
	}
}

// TestMonitor: a client hears of each session that begins and ends.
func TestMonitor(t *testing.T) {
	client, s := startServer(t, func(c *Config) { c.newCommand = newWaiting(1) })
	there, other := startServer(t, func(c *Config) { c.newCommand = newWaiting(1) })
	ctx := testContext(t)
	begin := func(c *Client, label string) *Stream {
		t.Helper()
		stream, err := c.Run(ctx, &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/", Options: Options{Label: label}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stream.Close() })
		return stream
	}
	end := func(c *Client, stream *Stream) {
		t.Helper()
		if err := c.Cancel(ctx, stream.Session(), 0); err != nil {
			t.Fatal(err)
		}
	}
	first := begin(client, "a")
	all, some := watchSessions(t, client, "{}"), watchSessions(t, client, `{"label":"a"}`)
	for _, next := range []func() wireNotice{all, some} {
		if n := next(); n.Sessions == nil || len(*n.Sessions) != 1 || (*n.Sessions)[0].Session != first.Session() {
			t.Fatalf("at first: %+v", n)
		}
	}
	second := begin(client, "b")
	if n := all(); n.Begun == nil || n.Begun.Session != second.Session() || n.Begun.Label != "b" || n.Begun.State != "running" {
		t.Errorf("%+v", n)
	}
	end(client, second)
	if n := all(); n.Ended == nil || n.Ended.Session != second.Session() || n.Ended.State != "ended" || n.Ended.Complete == nil {
		t.Errorf("%+v", n)
	}
	end(client, first)
	for _, next := range []func() wireNotice{all, some} {
		if n := next(); n.Ended == nil || n.Ended.Session != first.Session() {
			t.Errorf("%+v", n)
		}
	}
	third := begin(there, "a")
	join(t, s, other) // there is one already
	for _, next := range []func() wireNotice{all, some} {
		if n := next(); n.Begun == nil || n.Begun.Session != third.Session() {
			t.Errorf("a sibling's: %+v", n)
		}
	}
	end(there, third)
	for _, next := range []func() wireNotice{all, some} {
		if n := next(); n.Ended == nil || n.Ended.Session != third.Session() {
			t.Errorf("a sibling's: %+v", n)
		}
	}
}

// TestMonitorShutdown: a monitor does not hold up the server's end, and hears of the end
// of the sessions first.
func TestMonitorShutdown(t *testing.T) {
	client, s := startServer(t, func(c *Config) { c.newCommand, c.Drain = newWaiting(1), 100*patience })
	stream, err := client.Run(testContext(t), &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/"})
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	conn := rawConn(t, client)
	if err := varlink.Write(conn, []byte(`{"method":"io.fstrace.v1.Monitor","more":true}`), nil); err != nil {
		t.Fatal(err)
	}
	r := varlink.NewReader(conn, 1<<20, 0)
	rawReply(t, r)
	done := make(chan struct{})
	go func() {
		defer close(done)
		s.Shutdown(testContext(t), true)
	}()
	if got := rawReply(t, r); !strings.Contains(string(got.Parameters), `"ended":{`) {
		t.Errorf("%s", got.Parameters)
	}
	if got := rawReply(t, r); got.Continues || string(got.Parameters) != "{}" {
		t.Errorf("last: %+v %s", got, got.Parameters)
	}
	within(t, "the server's end", func() { <-done })
}

// TestMonitorSlow: a client that does not read is notified that it has missed something,
// and costs no more.
func TestMonitorSlow(t *testing.T) {
	m := &monitor{wake: make(chan struct{}, 1)}
	for range 2 * monitorQueue {
		m.add(notice{})
	}
	list, lost := m.take()
	if len(list) != monitorQueue || !lost {
		t.Errorf("%d notices, lost %v", len(list), lost)
	}
	m.add(notice{})
	if list, lost = m.take(); len(list) != 1 || lost {
		t.Errorf("%d notices, lost %v", len(list), lost)
	}
}

// TestFeatures: what the schema has, the daemon says that it has.
func TestFeatures(t *testing.T) {
	client, _ := startServer(t, nil)
	if got := client.Server().Features; !slices.Equal(got, features) || len(got) == 0 {
		t.Errorf("features %v", got)
	}
}
