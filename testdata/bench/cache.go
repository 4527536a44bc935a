package main

import (
	"errors"
	"os"
	"path/filepath"
	"time"
)

// A cachedWork is a command that is run with caches, in a directory.
type cachedWork struct {
	name   string
	dir    string
	remove []string // what it makes
	argv   func(compiler ...string) []string
}

// The ways to run a cachedWork.
const (
	cacheFirst  = "first"
	cacheAgain  = "restored"
	cacheRight  = "right already"
	ccacheFirst = "ccache, first"
	ccacheAgain = "ccache, restored"
	nothing     = "true"
)

// benchCache: what fstrace cache takes to run a command, and to restore what it made.
func benchCache(l *lab, r *report) error {
	wanted, done := l.want("cache")
	if !wanted {
		return nil
	}
	if l.fstraceCache == "" {
		return errors.New("cache: no fstrace-cache beside the program that is measured")
	}
	s := r.section("Cache", `
Milliseconds for `+"`fstrace cache run --ignore-former-outputs`"+` of a compiler that runs for the first time, whose objects were
removed, and whose objects are right already, in turns with ccache. The time of true is that of starting any
program. In the second row make runs the compiler for each of 31 files, with -j2 -B.`,
		"", bare, cacheFirst, cacheAgain, cacheRight, ccacheFirst, ccacheAgain, nothing)
	works, err := l.fillCached()
	if missing := (errMissing{}); errors.As(err, &missing) {
		s.note("Left out: %v.", missing)
		done()
		return nil
	}
	if err != nil {
		return err
	}
	modes := []mode{{name: bare}, {name: cacheFirst}, {name: cacheAgain}, {name: cacheRight}, {name: nothing}}
	if ccache, err := find("ccache"); err == nil {
		modes = append(modes, mode{ccacheFirst, []string{ccache}}, mode{ccacheAgain, []string{ccache}})
	} else {
		s.note("Without ccache: %v.", err)
	}
	for _, w := range works {
		t, err := l.measureSeconds(modes, func(m mode) (time.Duration, error) { return l.runCached(w, m) })
		if err != nil {
			return err
		}
		cells := []string{w.name}
		for _, name := range []string{bare, cacheFirst, cacheAgain, cacheRight, ccacheFirst, ccacheAgain, nothing} {
			cells = append(cells, number(1000*t.median(name)))
		}
		s.row(cells...)
		if w.name == oneFile {
			r.atMost(12, 1000*(t.median(cacheAgain)-t.median(nothing)), "`fstrace cache run` of one gcc whose result is found, milliseconds more than true")
		}
	}
	done()
	return nil
}

const oneFile = "gcc of one file"

// fillCached makes the sources.
func (l *lab) fillCached() ([]*cachedWork, error) {
	gcc, err := find("gcc")
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(l.dir, "cached-")
	if err != nil {
		return nil, err
	}
	project, err := fillGCC(l, dir)
	if err != nil {
		return nil, err
	}
	return []*cachedWork{
		{oneFile, dir, []string{filepath.Join(dir, "part0.o")}, func(c ...string) []string {
			return append(c, gcc, "-O2", "-c", "-o", "part0.o", "part0.c")
		}},
		{"make", dir, project.remove, func(c ...string) []string {
			compiler := ""
			for _, word := range append(c, gcc) {
				compiler += word + " "
			}
			return append(project.argv, "-B", "CC="+compiler)
		}},
	}, nil
}

// runCached runs a work in one mode, after whatever makes it what the mode says.
func (l *lab) runCached(w *cachedWork, m mode) (time.Duration, error) {
	store := l.path("results")
	env := []string{"FSTRACE_CACHE_DIR=" + store, "CCACHE_DIR=" + l.path("ccache")}
	if m.name == nothing {
		return l.time(command{argv: []string{"true"}})
	}
	stores := map[string]string{cacheFirst: store, ccacheFirst: l.path("ccache")}
	if dir := stores[m.name]; dir != "" {
		if err := os.RemoveAll(dir); err != nil {
			return 0, err
		}
	}
	if m.name != cacheRight {
		for _, name := range w.remove {
			if err := os.RemoveAll(name); err != nil {
				return 0, err
			}
		}
	}
	compiler := m.prefix
	switch m.name {
	case cacheFirst, cacheAgain, cacheRight:
		compiler = []string{l.fstraceCache, "run", "--ignore-former-outputs", "--"}
	}
	return l.time(command{argv: w.argv(compiler...), dir: w.dir, env: env})
}
