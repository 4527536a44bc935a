package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// A machine is what has to be known of one to understand its numbers.
type machine struct {
	day          string
	kernel       string
	cpu          string
	cores        int
	load         string
	fstrace      string
	strace       string
	unprivileged bool
}

func describeMachine(l *lab) machine {
	m := machine{
		day: time.Now().UTC().Format(time.DateOnly), cores: runtime.NumCPU(), cpu: cpuModel(), unprivileged: os.Getuid() != 0,
		fstrace: firstLine(l.fstrace, "--version"),
	}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.kernel = fmt.Sprintf("%s %s, %s", unix.ByteSliceToString(u.Sysname[:]), unix.ByteSliceToString(u.Release[:]),
			unix.ByteSliceToString(u.Machine[:]))
	}
	if content, err := os.ReadFile("/proc/loadavg"); err == nil {
		m.load, _, _ = strings.Cut(string(content), " ")
	}
	if l.hasStrace {
		m.strace = firstLine(l.strace, "--version")
	}
	return m
}

// cpuModel is what /proc/cpuinfo calls the first one, if it says.
func cpuModel() string {
	f, err := os.Open("/proc/cpuinfo")
	if err != nil {
		return "?"
	}
	defer f.Close()
	for in := bufio.NewScanner(f); in.Scan(); {
		if key, value, ok := strings.Cut(in.Text(), ":"); ok && strings.TrimSpace(key) == "model name" {
			return strings.TrimSpace(value)
		}
	}
	return "?"
}

// firstLine is that of what a program prints.
func firstLine(argv ...string) string {
	out, err := exec.Command(argv[0], argv[1:]...).Output()
	if err != nil {
		return "?"
	}
	line, _, _ := strings.Cut(string(out), "\n")
	return line
}

func (m *machine) write(w io.Writer) {
	user := "root"
	if m.unprivileged {
		user = "an ordinary user"
	}
	fmt.Fprintf(w, `
| | |
|---|---|
| day | %s |
| machine | %d cores, %s |
| kernel | %s |
| load average when it began | %s |
| run by | %s |
| fstrace | %s, built with %s |
`, m.day, m.cores, m.cpu, m.kernel, m.load, user, m.fstrace, runtime.Version())
	if m.strace != "" {
		fmt.Fprintf(w, "| strace | %s |\n", m.strace)
	}
}
