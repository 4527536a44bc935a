package ipc

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer"
)

// BenchmarkStream is how fast a session's events reach its clients: encoded, spooled,
// sent to each, and taken apart there.
func BenchmarkStream(b *testing.B) {
	for _, clients := range []int{1, 10} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			client, _ := startServer(b, func(c *Config) { c.newCommand = newFake(b.N) })
			b.ResetTimer()
			s, err := client.Run(b.Context(), &RunRequest{Argv: []string{"fake"}, Env: []string{}, Cwd: "/"})
			if err != nil {
				b.Fatal(err)
			}
			streams := []*Stream{s}
			for range clients - 1 {
				s, err := client.Subscribe(b.Context(), streams[0].Session(), 0)
				if err != nil {
					b.Fatal(err)
				}
				streams = append(streams, s)
			}
			var wait sync.WaitGroup
			for _, s := range streams {
				wait.Go(func() {
					defer s.Close()
					n := 0
					for {
						u, err := s.Next()
						if err == io.EOF {
							break
						}
						if err != nil {
							b.Error(err)
							return
						}
						n += len(u.Events)
					}
					if n != b.N {
						b.Errorf("%d events, want %d", n, b.N)
					}
				})
			}
			wait.Wait()
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// latencies takes the time from a call to its event, for calls that are made one at a
// time: from when its notification was received, for the call itself has no clock.
type latencies struct{ list []time.Duration }

func (*latencies) Begin(*events.Header) error { return nil }
func (*latencies) End(*events.Trailer) error  { return nil }

func (l *latencies) Event(e *events.Event) error {
	if strings.HasPrefix(e.Path, "/no/such/") {
		l.list = append(l.list, time.Since(e.Time))
	}
	return nil
}

func (l *latencies) report(b *testing.B) {
	if len(l.list) < b.N {
		b.Fatalf("%d events, want %d", len(l.list), b.N)
	}
	slices.Sort(l.list)
	at := func(share float64) float64 {
		return float64(l.list[int(share*float64(len(l.list)-1))].Nanoseconds()) / 1000
	}
	b.ReportMetric(at(0.5), "p50-us")
	b.ReportMetric(at(0.99), "p99-us")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkLatency is the time from a system call to its event at the client; for the
// embedded run, to its event at the sink.
func BenchmarkLatency(b *testing.B) {
	script := func(n int) string {
		return fmt.Sprintf("i=0; while [ $i -lt %d ]; do test -e /no/such/$i; sleep 0.002; i=$((i+1)); done", n)
	}
	b.Run("daemon", func(b *testing.B) {
		client, _ := startDaemon(b)
		s, err := client.Run(b.Context(), sh("/", script(b.N)))
		if err != nil {
			b.Fatal(err)
		}
		defer s.Close()
		var l latencies
		if err := s.Replay(&l); err != nil {
			b.Fatal(err)
		}
		l.report(b)
	})
	b.Run("embedded", func(b *testing.B) {
		var l latencies
		cmd := tracer.Command("/bin/sh", "-c", script(b.N))
		cmd.Sink = &l
		if err := cmd.Run(); err != nil {
			b.Fatal(err)
		}
		l.report(b)
	})
}
