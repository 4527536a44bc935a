package main

import (
	"fmt"
	"slices"
)

// benchEncoder: whether the record is written as fast as the command makes events.
// The loops of benchCalls are too short to tell: what is left over waits in memory.
func benchEncoder(l *lab, r *report) error {
	wanted, done := l.want("encoder")
	if !wanted {
		return nil
	}
	const silent, null, file = "silent", "jsonl to /dev/null", "jsonl to a file"
	record := l.path("record.jsonl")
	modes := []mode{
		{name: bare},
		{floor, []string{l.floor}},
		l.traced(silent, "-f", "jsonl", "--only", "/nothing"),
		l.traced(null, "-f", "jsonl"),
		{file, []string{l.fstrace, "-f", "jsonl", "-o", record, "--"}},
	}
	events, rounds := l.larger(500_000), min(l.count, 3) // they are long
	count := thousands([]int{events})[0]
	s := r.section("A long record", fmt.Sprintf(`
%s lookups of 1,000 paths by one process: the microseconds that each takes it; how long after the last one the
record is whole, as a share of the time that they all took; and the first column's ratio to "silent", which is
fstrace with nothing to report (`+"`--only /nothing`"+`). Run %s.`, count, times(rounds)),
		"", "µs a call", "record whole after", "of silent")
	tails := make(result)
	t, err := measureRounds(rounds, modes, func(m mode) (float64, error) {
		u, err := l.use(m, load{distinct: 1000, lookups: events, processes: 1})
		tails[m.name] = append(tails[m.name], float64(u.wall-u.tracee)/float64(u.tracee))
		return u.tracee.Seconds() / float64(events) * 1e6, err
	})
	if err != nil {
		return err
	}
	done()
	for _, m := range modes {
		s.row(slices.Concat([]string{m.name}, numbers(t.median(m.name), tails.median(m.name), t.ratio(m.name, silent)))...)
	}
	r.atMost(1.05, t.ratio(file, null), count+" events: calls with jsonl in a file, of those with it in /dev/null")
	r.atMost(0.05, tails.median(file), count+" events: wait for the file after the last call, of the calls' time")
	return nil
}
