package manifest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/events"
)

// run has a shell make a process that runs a program, which reads a file if it gets one.
func (p *play) run(pid, parent int, file string) {
	p.t.Helper()
	argv := []string{"program", fmt.Sprint(pid)}
	steps := []*events.Event{
		{Op: events.OpStart, PPID: parent, Exe: "/bin/sh", Argv: []string{"sh"}, Cwd: "/w"},
		{Op: events.OpExec, Exe: "/bin/program", Argv: argv, Cwd: "/w"},
	}
	if file != "" {
		info, err := p.fs.lstat(file)
		p.ok(err)
		steps = append(steps, &events.Event{
			Op: events.OpRead, Syscall: "openat", Path: file, State: events.StateFile, Info: info,
		})
	}
	for _, e := range append(steps, &events.Event{Op: events.OpExit, Exit: &events.Exit{}}) {
		e.PID, e.TID, e.Time = pid, pid, p.fs.now()
		p.ok(p.r.Event(e))
	}
}

// TestForgetProcesses: programs that explain nothing are only counted; those that made an
// access are there, with all that they come from.
func TestForgetProcesses(t *testing.T) {
	const shells, each = 50, 1000
	fs := newFakeFS()
	file := func(shell int) string { return fmt.Sprint("/w/f", shell) }
	for shell := range shells {
		fs.write(file(shell), "content")
	}
	fs.later()
	p := newPlay(t, fs, Options{})
	before := heap()
	for shell := range shells {
		pid := 1_000_000 + shell
		p.ok(p.r.Event(&events.Event{
			Op: events.OpStart, PID: pid, TID: pid, PPID: 1, Argv: []string{"shell", fmt.Sprint(shell)}, Time: p.fs.now(),
		}))
		for i := range each {
			name := ""
			if i == each/2 {
				name = file(shell)
			}
			p.run(1000+each*shell+i, pid, name)
		}
		if shell > 0 { // one lives as long as the session
			p.ok(p.r.Event(&events.Event{Op: events.OpExit, PID: pid, TID: pid, Exit: &events.Exit{Code: 3}, Time: p.fs.now()}))
		}
	}
	if after := heap(); after > before+6<<20 {
		t.Errorf("%d bytes for %d processes", after-before, shells*each)
	}
	m := p.end()
	if n := len(m.Processes); n > 4*keptProcesses || int64(n)+m.ForgottenProcesses != 1+shells*(1+2*each) {
		t.Errorf("%d processes, and %d forgotten", n, m.ForgottenProcesses)
	}
	for shell := range shells {
		x := m.Why(file(shell))
		if len(x.Accesses) != 1 {
			t.Fatalf("%s: %d accesses", file(shell), len(x.Accesses))
		}
		var chain []string
		for _, c := range x.Accesses[0].Chain {
			chain = append(chain, strings.Join(c.Argv, " "))
		}
		want := []string{fmt.Sprint("program ", 1000+each*shell+each/2), "sh", fmt.Sprint("shell ", shell), "cmd"}
		if !slices.Equal(chain, want) {
			t.Errorf("%s: %q, want %q", file(shell), chain, want)
		}
	}
}
