package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/fstrace/fstrace/ipc"
)

// launches is how many starts are measured in each mode, in turns.
const launches = 200

// inARow is how many commands a shell starts one after the other.
const inARow = 200

// Names of what only a start is measured in.
const (
	connected = "connect"
	overRun   = "Run"
	fsatrace  = "fsatrace"
)

// benchLaunch: what a command costs that does nothing.
func benchLaunch(l *lab, r *report) (err error) {
	wanted, done := l.want("launch")
	if !wanted {
		return nil
	}
	modes := []mode{
		{name: bare},
		{floor, []string{l.floor}},
		l.traced(ptrace),
		l.traced(notify, "--lifecycle", "notify"),
	}
	var client *ipc.Client
	if l.fstraced != "" {
		d, err := l.startDaemon()
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, d.stop()) }()
		modes = append(modes, l.traced(connected, "--connect="+d.socket))
		client = d.client
	}
	if l.hasStrace {
		modes = append(modes, mode{strace, []string{l.strace, "-f", "--seccomp-bpf", "-o", "/dev/null"}})
	}
	if path, err := exec.LookPath(fsatrace); err == nil {
		modes = append(modes, mode{fsatrace, []string{path, "rwmdtq", "/dev/null", "--"}})
	}
	row := modes
	if client != nil {
		modes = append(slices.Clip(modes), mode{name: overRun})
	}

	t, err := measureRounds(l.scaled(launches), modes, func(m mode) (float64, error) {
		if m.name == overRun {
			took, err := runOver(l.ctx, client)
			return took.Seconds(), err
		}
		took, err := l.time(command{argv: m.wrap("/bin/true")})
		return took.Seconds(), err
	})
	if err != nil {
		return err
	}
	s := r.section("Launch", fmt.Sprintf(`
Milliseconds from the start of /bin/true to its end, %d times in each mode, in turns: percentiles, and
the median less that of "bare". The modes are `+"`fstrace -o /dev/null -- true`, `strace -f --seccomp-bpf -o /dev/null\ntrue`"+`,
"connect", which is fstrace with `+"`--connect`"+`, and "Run", a call of a running fstraced until the record is whole, by a
program that has called it before. fsatrace is measured if it is installed.`, l.scaled(launches)),
		"", "10th", "50th", "90th", "99th", "less bare")
	for _, m := range modes {
		cells := []string{m.name}
		for _, p := range []float64{0.1, 0.5, 0.9, 0.99} {
			cells = append(cells, number(percentile(t[m.name], p)*1e3))
		}
		s.row(append(cells, number(t.beyondBare(m.name)*1e3))...)
	}
	r.atMost(4.5, t.beyondBare(ptrace)*1e3, "`fstrace -- true`: milliseconds beyond bare")
	r.atMost(0.6, t.beyondBare(ptrace)/t.beyondBare(strace), "`fstrace -- true`: time beyond bare, of that of `strace -f --seccomp-bpf -o /dev/null true`")
	r.atMost(2, t.beyondBare(overRun)*1e3, "`Run` of true by a running fstraced: milliseconds beyond bare")
	r.atMost(4.5, t.beyondBare(connected)*1e3, "`fstrace --connect -- true`: milliseconds beyond bare")

	n := l.scaled(inARow)
	script := `i=0; while [ $i -lt ` + strconv.Itoa(n) + ` ]; do "$@"; i=$((i+1)); done`
	t, err = l.measureSeconds(row, func(m mode) (time.Duration, error) {
		return l.time(command{argv: append([]string{"sh", "-c", script, "sh"}, m.wrap("/bin/true")...)})
	})
	if err != nil {
		return err
	}
	done()
	s = r.section("Launches in a row", fmt.Sprintf(`
Seconds for a shell to run /bin/true %d times, each in a session of its own, and the ratios to bare.`, n),
		slices.Concat([]string{""}, names(row), names(row)[1:])...)
	s.row(slices.Concat([]string{strconv.Itoa(n) + " commands"}, t.medians(row, 1), t.ratios(row))...)
	return nil
}

// beyondBare is by how much the median of a mode exceeds that of bare. NaN if it was not
// measured.
func (r result) beyondBare(mode string) float64 { return r.median(mode) - r.median(bare) }

// percentile is the smallest of a list that a share p of it does not exceed, NaN if there
// is none.
func percentile(list []float64, p float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	sorted := slices.Sorted(slices.Values(list))
	return sorted[min(len(sorted)-1, int(p*float64(len(sorted))))]
}

// runOver runs /bin/true by a daemon, and reads its record.
func runOver(ctx context.Context, client *ipc.Client) (time.Duration, error) {
	begun := time.Now()
	s, err := client.Run(ctx, &ipc.RunRequest{Argv: []string{"/bin/true"}, Env: []string{}, Cwd: "/"})
	if err != nil {
		return 0, err
	}
	defer s.Close()
	for {
		_, err := s.Next()
		if errors.Is(err, io.EOF) {
			return time.Since(begun), nil
		}
		if err != nil {
			return 0, err
		}
	}
}

// A daemon is a fstraced of the lab's.
type daemon struct {
	socket string
	cmd    *exec.Cmd
	client *ipc.Client
}

// startDaemon starts a daemon, and waits until it answers.
func (l *lab) startDaemon() (*daemon, error) {
	dir := l.path("run")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return nil, err
	}
	d := &daemon{socket: filepath.Join(dir, "socket")}
	d.cmd = exec.Command(l.fstraced, "--socket", d.socket, "--spool-dir", l.dir, "--log-level", "error")
	d.cmd.Env, d.cmd.Stderr = l.environ(), os.Stderr
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	const patience = 20 * time.Second
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		var err error
		if d.client, err = ipc.Dial(d.socket); err == nil {
			return d, nil
		}
		if time.Now().After(deadline) || l.ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("fstraced: %w", err), d.stop())
		}
	}
}

// stop ends the daemon.
func (d *daemon) stop() error {
	if err := d.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	return d.cmd.Wait()
}
