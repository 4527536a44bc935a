package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A command is what a benchmark runs.
type command struct {
	argv []string
	dir  string   // empty: the lab's
	env  []string // beside what all commands have
}

// patience is how long one run may take: whatever takes longer hangs.
const patience = 10 * time.Minute

// run runs a command, which has to succeed, and returns what it prints and how long
// it took.
func (l *lab) run(c command) (stdout string, took time.Duration, err error) {
	var out bytes.Buffer
	took, err = l.start(c, &out)
	return out.String(), took, err
}

// time runs a command with its output going nowhere.
func (l *lab) time(c command) (took time.Duration, err error) { return l.start(c, nil) }

// do runs a command for its effect.
func (l *lab) do(argv ...string) error {
	_, err := l.start(command{argv: argv}, nil)
	return err
}

func (l *lab) start(c command, stdout *bytes.Buffer) (took time.Duration, err error) {
	ctx, cancel := context.WithTimeout(l.ctx, patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir, cmd.Env = c.dir, append(l.environ(), c.env...)
	if c.dir == "" {
		cmd.Dir = l.dir
	}
	if stdout != nil {
		cmd.Stdout = stdout
	}
	// Not a pipe: nothing of ours is to run while the command does.
	complaints, err := os.Create(l.path("stderr"))
	if err != nil {
		return 0, err
	}
	defer complaints.Close()
	cmd.Stderr = complaints
	// In a group of its own, so that nothing is left behind of one that hangs.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }

	begun := time.Now()
	err = cmd.Run()
	took = time.Since(begun)
	if l.ctx.Err() != nil {
		return 0, errors.New("interrupted")
	}
	if err != nil {
		text, _ := os.ReadFile(l.path("stderr"))
		return 0, fmt.Errorf("%s: %w\n%s", strings.Join(c.argv, " "), err, text)
	}
	return took, nil
}

// environ is the same for every user who runs the benchmarks.
func (l *lab) environ() []string {
	return []string{"PATH=" + os.Getenv("PATH"), "HOME=" + l.home, "TMPDIR=" + l.path("tmp"), "LC_ALL=C.UTF-8"}
}

// number runs a command that prints one.
func (l *lab) number(argv []string) (float64, error) {
	out, _, err := l.run(command{argv: argv})
	if err != nil {
		return 0, err
	}
	n, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	if err != nil {
		return 0, fmt.Errorf("%s: %w", strings.Join(argv, " "), err)
	}
	return n, nil
}
