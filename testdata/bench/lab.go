package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

//go:embed c
var sources embed.FS

// A lab is where benchmarks are run: a directory that goes when they are done, and
// the programs that they need.
type lab struct {
	*options
	ctx  context.Context
	root string // of the repository
	dir  string
	home string // the commands' home directory
	data string // holds one file, and nothing else

	fstrace, floor, loop, paths, stats, usage string
	hasStrace                                 bool
	fstraced, fstraceCache                    string // "" if there is none
}

func newLab(ctx context.Context, o *options) (*lab, error) {
	l := &lab{options: o, ctx: ctx}
	if o.strace != "none" {
		path, err := exec.LookPath(o.strace)
		if err != nil {
			fmt.Fprintln(os.Stderr, "bench: without strace:", err)
		}
		l.strace, l.hasStrace = path, err == nil
	}
	dir, err := os.MkdirTemp("", "fstrace-bench-")
	if err != nil {
		return nil, err
	}
	if l.dir, err = filepath.EvalSymlinks(dir); err == nil {
		err = l.fill()
	}
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return l, nil
}

func (l *lab) fill() error {
	l.home, l.data = l.path("home"), l.path("data")
	for _, name := range []string{l.home, l.data, l.path("tmp")} {
		if err := os.Mkdir(name, 0o755); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(l.data, "file"), []byte("content\n"), 0o644); err != nil {
		return err
	}
	if err := os.CopyFS(l.dir, sources); err != nil {
		return err
	}
	for name, to := range map[string]*string{"floor": &l.floor, "loop": &l.loop, "paths": &l.paths, "stats": &l.stats, "usage": &l.usage} {
		*to = l.path(name)
		if err := l.do("gcc", "-O2", "-pthread", "-o", *to, l.path("c", name+".c")); err != nil {
			return err
		}
	}

	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/fstrace/fstrace").Output()
	if err != nil {
		return fmt.Errorf("find the repository: %w", err)
	}
	l.root = strings.TrimSpace(string(root))
	if l.binary != "" {
		if l.fstrace, err = filepath.Abs(l.binary); err != nil {
			return err
		}
		if beside := filepath.Join(filepath.Dir(l.fstrace), "fstraced"); exec.Command(beside, "--version").Run() == nil {
			l.fstraced = beside
		} else {
			fmt.Fprintln(os.Stderr, "bench: without a daemon: no fstraced beside", l.fstrace)
		}
		if beside := filepath.Join(filepath.Dir(l.fstrace), "fstrace-cache"); exec.Command(beside, "--version").Run() == nil {
			l.fstraceCache = beside
		}
		return nil
	}
	for name, to := range map[string]*string{"fstrace": &l.fstrace, "fstraced": &l.fstraced, "fstrace-cache": &l.fstraceCache} {
		linked := l.path("linked")
		build := exec.CommandContext(l.ctx, "go", "build", "-trimpath", "-ldflags=-E=fstrace_entry", "-o", linked,
			"./cmd/"+name) // as the Makefile does
		build.Dir, build.Env = l.root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			return fmt.Errorf("build %s: %w\n%s", name, err, out)
		}
		// Installed programs are copies. The file that the linker has written starts more
		// slowly.
		*to = l.path(name)
		if err := l.do("cp", linked, *to); err != nil {
			return err
		}
	}
	return nil
}

// path returns the path of something in the lab.
func (l *lab) path(names ...string) string {
	return filepath.Join(append([]string{l.dir}, names...)...)
}

// scaled is n, or less of it for a run that only tries the program, but at least 1.
func (l *lab) scaled(n int) int { return max(1, int(float64(n)*l.scale)) }

// want reports whether a benchmark is to be run, and if so says that it is; done says how
// long it took.
func (l *lab) want(name string) (wanted bool, done func()) {
	if !l.match.MatchString(name) {
		return false, nil
	}
	begun := time.Now()
	fmt.Fprintf(os.Stderr, "%-40s", name)
	return true, func() { fmt.Fprintf(os.Stderr, "%6.1f s\n", time.Since(begun).Seconds()) }
}
