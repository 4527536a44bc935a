package main

import (
	"slices"
	"time"
)

// launches is how many make one measurement: a single one says little.
const launches = 10

// benchLaunch: what a command costs that does nothing.
func benchLaunch(l *lab, r *report) error {
	modes := []mode{
		{name: bare},
		{floor, []string{l.floor}},
		l.traced(ptrace),
		l.traced(notify, "--lifecycle", "notify"),
	}
	if l.hasStrace {
		modes = append(modes, mode{strace, []string{l.strace, "-f", "--seccomp-bpf", "-o", "/dev/null"}})
	}
	wanted, done := l.want("launch")
	if !wanted {
		return nil
	}
	s := r.section("Launch", `
Milliseconds from starting `+"`fstrace -o /dev/null -- true`, or `strace -f --seccomp-bpf -o /dev/null true`"+`, to
its end.`,
		slices.Concat([]string{""}, names(modes))...)
	n := l.scaled(launches)
	t, err := l.measureSeconds(modes, func(m mode) (sum time.Duration, err error) {
		for range n {
			took, err := l.time(command{argv: m.wrap("/bin/true")})
			if err != nil {
				return 0, err
			}
			sum += took
		}
		return sum / time.Duration(n), nil
	})
	if err != nil {
		return err
	}
	done()
	s.row(slices.Concat([]string{"`true`"}, t.medians(modes, 1e3))...)
	less := []string{"less `true`"}
	for _, m := range modes {
		less = append(less, number((t.median(m.name)-t.median(bare))*1e3))
	}
	s.row(less...)
	r.atMost(1.3, t.ratio(ptrace, strace), "`fstrace -- true`, of `strace -f --seccomp-bpf -o /dev/null true`")
	return nil
}
