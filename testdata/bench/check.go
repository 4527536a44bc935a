package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// benchCheck: what a check of a manifest takes, of what it takes to look at its files.
func benchCheck(l *lab, r *report) error {
	wanted, done := l.want("check")
	if !wanted {
		return nil
	}
	s := r.section("Check", `
Seconds for `+"`fstrace check`"+` of a manifest of so many files that have all been read and have not changed, and for a
loop in C that calls lstat for each of them (`+"`testdata/bench/c/stats.c`"+`), in turns.`,
		"files", "lstat", "check", "ratio")
	modes := []mode{{name: "lstat"}, {name: "check"}}
	for _, n := range []int{l.scaled(10_000), l.scaled(100_000)} {
		list, manifest, err := l.fillCheck(n)
		if missing := (errMissing{}); errors.As(err, &missing) {
			s.note("Left out: %v.", missing)
			break
		}
		if err != nil {
			return err
		}
		argv := map[string][]string{"lstat": {l.stats, list}, "check": {l.fstrace, "check", manifest}}
		run := func(m mode) (time.Duration, error) { return l.time(command{argv: argv[m.name]}) }
		if _, err := run(modes[1]); err != nil { // which fills the cache of hashes
			return err
		}
		t, err := l.measureSeconds(modes, run)
		if err != nil {
			return err
		}
		ratio := t.ratio("check", "lstat")
		s.row(append(thousands([]int{n}), number(t.median("lstat")), number(t.median("check")), number(ratio))...)
		if n == l.scaled(100_000) {
			r.atMost(1.5, ratio, "`fstrace check` of "+thousands([]int{n})[0]+" files, of a loop of lstat in C")
		}
	}
	done()
	return nil
}

// fillCheck makes n files, a list of their paths, and a manifest of a command that has
// read them.
func (l *lab) fillCheck(n int) (list, manifest string, err error) {
	xargs, err := find("xargs")
	if err != nil {
		return "", "", err
	}
	dir, err := os.MkdirTemp(l.dir, "check-")
	if err != nil {
		return "", "", err
	}
	const perDirectory = 100
	var paths strings.Builder
	for i := range n {
		sub := filepath.Join(dir, "src", fmt.Sprintf("dir%04d", i/perDirectory))
		if i%perDirectory == 0 {
			if err := os.MkdirAll(sub, 0o755); err != nil {
				return "", "", err
			}
		}
		name := filepath.Join(sub, fmt.Sprintf("file%02d.txt", i%perDirectory))
		if err := writeFile(name, "%d\n", i); err != nil {
			return "", "", err
		}
		fmt.Fprintln(&paths, name)
	}
	list, manifest = filepath.Join(dir, "list"), filepath.Join(dir, "manifest.json")
	if err := os.WriteFile(list, []byte(paths.String()), 0o644); err != nil {
		return "", "", err
	}
	return list, manifest, l.do(l.fstrace, "-q", "-f", "manifest", "-o", manifest, "--", xargs, "-a", list, "cat")
}
