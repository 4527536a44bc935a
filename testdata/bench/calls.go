package main

import (
	"fmt"
	"slices"
	"strconv"
	"time"
)

// Who makes the calls.
var crews = []struct {
	name               string
	threads, processes int
}{
	{"1 thread", 1, 1},
	{"4 threads", 4, 1},
	{"4 processes", 1, 4},
}

// loopTime is how long a loop of calls goes on.
const loopTime = 120 * time.Millisecond

// loopOf measures the nanoseconds that a call takes.
func (l *lab) loopOf(m mode, call string, threads, processes int, d time.Duration) (float64, error) {
	ms := max(2, int(float64(d.Milliseconds())*l.scale))
	return l.number(m.wrap(l.loop, call, l.data, strconv.Itoa(threads), strconv.Itoa(processes), strconv.Itoa(ms)))
}

// benchCalls: what one call costs.
func benchCalls(l *lab, r *report) error {
	modes := l.modes()
	s := r.section("Calls", `
Nanoseconds that a call takes in a loop: of an existing file, but for `+"`stat-absent`"+`; `+"`fstatat`"+` relative to a
directory's descriptor. With several threads or processes, the time divided by the calls of all of
them. The last columns compare what is added to the bare call. Nothing varies as much as strace: a stop
costs several times more where tracer and tracee are woken on two CPUs than on one.`,
		slices.Concat([]string{"call"}, names(modes), []string{"fstrace : floor", "notify : floor", "strace : fstrace"})...)
	for _, call := range []string{"stat", "open+close", "fstatat", "stat-absent"} {
		for _, crew := range crews {
			name := fmt.Sprintf("call/%s/%s", call, crew.name)
			wanted, done := l.want(name)
			if !wanted {
				continue
			}
			t, err := l.measure(modes, func(m mode) (float64, error) {
				return l.loopOf(m, call, crew.threads, crew.processes, loopTime)
			})
			if err != nil {
				return err
			}
			done()
			s.row(slices.Concat([]string{call + ", " + crew.name}, t.medians(modes, 1),
				numbers(t.added(ptrace, floor), t.added(notify, floor), t.added(strace, ptrace)))...)
			if call == "stat" || call == "open+close" {
				what := fmt.Sprintf("`%s`, %s: ", call, crew.name)
				r.atMost(1.35, t.added(ptrace, floor), what+"added by fstrace, of the floor's")
				r.atLeast(7, t.added(strace, ptrace), what+"added by strace, of fstrace's")
			}
		}
	}
	return nil
}
