package main

import (
	"slices"
	"time"
)

// benchProcesses: what a process and a thread cost.
func benchProcesses(l *lab, r *report) error {
	modes := l.modes()
	s := r.section("Processes and threads", `
Microseconds for `+"`posix_spawn` of /bin/true"+` and waiting for it, and for creating and joining a thread; the
last columns are the ratios to bare.`,
		slices.Concat([]string{""}, names(modes), names(modes)[1:])...)
	for _, b := range []struct {
		name, call string
		time       time.Duration
	}{
		{"spawn", "spawn", 300 * time.Millisecond},
		{"thread", "thread", 100 * time.Millisecond},
	} {
		wanted, done := l.want(b.name)
		if !wanted {
			continue
		}
		t, err := l.measure(modes, func(m mode) (float64, error) { return l.loopOf(m, b.call, 1, 1, b.time) })
		if err != nil {
			return err
		}
		done()
		s.row(slices.Concat([]string{b.name}, t.medians(modes, 1e-3), t.ratios(modes))...)
		if b.name == "spawn" {
			r.atMost(1.45, t.ratio(ptrace, bare), "spawn of /bin/true, of bare")
			r.atMost(1.3, t.ratio(notify, bare), "spawn of /bin/true with `--lifecycle notify`, of bare")
		}
	}
	return nil
}
