package main

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"
)

// A work is a real command.
type work struct {
	key   string // of the benchmark
	name  string
	limit float64                                     // how long it may take under fstrace, of bare; 0: no target
	fill  func(l *lab, dir string) (*prepared, error) // makes what it works on, in a directory of its own
}

// What is ready to be run, and may be run again and again.
type prepared struct {
	command
	remove []string // what one run leaves that the next must not find
}

// errMissing says that a work cannot be done on this machine.
type errMissing struct{ cause error }

func (e errMissing) Error() string { return e.cause.Error() }
func (e errMissing) Unwrap() error { return e.cause }

var works = []work{
	{"gcc", "gcc, 30 files, make -j2", 1.06, fillGCC},
	{"cmake", "cmake configure", 1.06, fillCMake},
	{"go-list", "go list -deps cmd/go", 3.0, fillGoList},
	{"git-status", "git status, 15,000 files", 3.2, fillGit},
	{"find", "find /usr", 4.5, fillFind},
	{"python", "python, 50 imports", 1.4, fillPython},
	{"tsc", "tsc", 1.06, fillTSC},
	{"npm", "npm install of a tarball", 0, fillNPM},
}

// runWork runs a command once in a mode, after what the last run left is gone.
func (l *lab) runWork(p *prepared, m mode) (time.Duration, error) {
	for _, name := range p.remove {
		if err := os.RemoveAll(name); err != nil {
			return 0, err
		}
	}
	c := p.command
	c.argv = m.wrap(c.argv...)
	return l.time(c)
}

// prepare fills a work's directory and runs it once bare: then files are in memory,
// and caches are as they are going to stay.
func (l *lab) prepare(name string, fill func(l *lab, dir string) (*prepared, error)) (*prepared, error) {
	dir, err := os.MkdirTemp(l.dir, "work-")
	if err != nil {
		return nil, err
	}
	p, err := fill(l, dir)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if p.dir == "" {
		p.dir = dir
	}
	_, err = l.runWork(p, mode{name: bare})
	return p, err
}

// benchWork: what real commands cost.
func benchWork(l *lab, r *report) error {
	modes := l.modes()
	s := r.section("Real work", `
Seconds from start to end, with the commands' output going to /dev/null, and in the last columns the
ratios to bare. Each was run once before, so that its files are in memory.`,
		slices.Concat([]string{"command"}, names(modes), names(modes)[1:])...)
	for _, w := range works {
		wanted, done := l.want("work/" + w.key)
		if !wanted {
			continue
		}
		p, err := l.prepare(w.name, w.fill)
		if missing := (errMissing{}); errors.As(err, &missing) {
			s.note("%s was left out: %v.", w.name, missing)
			done()
			continue
		}
		if err != nil {
			return err
		}
		t, err := l.measureSeconds(modes, func(m mode) (time.Duration, error) { return l.runWork(p, m) })
		if err != nil {
			return err
		}
		done()
		s.row(slices.Concat([]string{"`" + w.name + "`"}, t.medians(modes, 1), t.ratios(modes))...)
		for _, m := range modes {
			if n := len(t[m.name]); n < l.count {
				s.note("%s under %s was run %s only: it takes too long.", w.name, m.name, times(n))
			}
		}
		if w.limit > 0 {
			r.atMost(w.limit, t.ratio(ptrace, bare), w.name+", of bare")
		}
	}
	return nil
}
