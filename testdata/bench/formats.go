package main

import (
	"errors"
	"math"
	"slices"
	"time"
)

// formats are those that go through different hands on their way out.
var formats = []string{"text", "jsonl", "manifest"}

// benchFormats: what the formats cost beside each other, where there is much to tell.
func benchFormats(l *lab, r *report) error {
	wanted, done := l.want("formats")
	if !wanted {
		return nil
	}
	s := r.section("Formats", "Seconds for `git status` of 15,000 files, with the record going to /dev/null.",
		"format", "s", "of the leanest")
	p, err := l.prepare("git status", fillGit)
	if missing := (errMissing{}); errors.As(err, &missing) {
		done()
		s.note("Left out: %v.", missing)
		return nil
	}
	if err != nil {
		return err
	}
	var modes []mode
	for _, format := range formats {
		modes = append(modes, l.traced(format, "-f", format))
	}
	t, err := l.measureSeconds(modes, func(m mode) (time.Duration, error) { return l.runWork(p, m) })
	if err != nil {
		return err
	}
	done()
	leanest := slices.MinFunc(formats, func(a, b string) int { return int(math.Copysign(1, t.median(a)-t.median(b))) })
	for _, format := range formats {
		ratio := t.ratio(format, leanest)
		s.row(format, number(t.median(format)), number(ratio))
		r.atMost(1.3, ratio, "`git status` with `-f "+format+"`, of the leanest format")
	}
	return nil
}
