package main

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// A usage is what a supervisor used for so many lookups.
type usage struct {
	peak   float64       // resident memory, bytes
	cpu    time.Duration // its own, not the tracees'
	wall   time.Duration
	tracee time.Duration // how long the lookups took
}

// A load is lookups of distinct paths, shared out among processes.
type load struct {
	distinct, lookups, processes int
}

// digits is how many the paths end in: c/paths.c.
const digits = 7

// prefix is what the paths that are looked up begin with. They do not exist.
func (l *lab) prefix() string { return filepath.Join(l.data, "some-file-") }

// use traces a load. It is measured from outside, by a small program.
func (l *lab) use(m mode, w load) (u usage, err error) {
	file := l.path("used")
	argv := m.wrap(l.paths, l.prefix(), strconv.Itoa(w.distinct), strconv.Itoa(w.lookups), strconv.Itoa(w.processes))
	tracee, err := l.number(append([]string{l.usage, file}, argv...))
	if err != nil {
		return u, err
	}
	content, err := os.ReadFile(file)
	if err != nil {
		return u, err
	}
	u.tracee = time.Duration(tracee)
	if _, err = fmt.Sscan(string(content), &u.peak, &u.cpu, &u.wall); err != nil {
		return u, fmt.Errorf("%s: %w", file, err)
	}
	u.peak *= 1 << 10
	return u, nil
}

// megabytes prints bytes as MiB.
func megabytes(bytes float64) string { return number(bytes / (1 << 20)) }

// perMillion is the processor time of a million more events, in seconds, between two
// loads.
func perMillion(less, more usage, events int) float64 {
	return (more.cpu - less.cpu).Seconds() / float64(events) * 1e6
}

// benchPaths: what the supervisor has to remember of each path.
func benchPaths(l *lab, r *report) error {
	sizes := []int{l.scaled(10_000), l.scaled(100_000), l.scaled(1_000_000)}
	length := len(l.prefix()) + digits
	s := r.section("Memory by distinct paths", fmt.Sprintf(`
Peak resident memory of the supervisor in MiB, when every lookup is of another path, none of which exists; and
what one path more takes beyond its own %d bytes, between the last two columns.`, length),
		slices.Concat([]string{"format"}, thousands(sizes), []string{"bytes per path"})...)
	for _, format := range formats {
		wanted, done := l.want("memory/paths/" + format)
		if !wanted {
			continue
		}
		row := []string{format}
		var peaks []float64
		for _, n := range sizes {
			u, err := l.use(l.traced(format, "-f", format), load{distinct: n, lookups: n, processes: 1})
			if err != nil {
				return err
			}
			peaks = append(peaks, u.peak)
			row = append(row, megabytes(u.peak))
		}
		done()
		slope := (peaks[2]-peaks[1])/float64(max(1, sizes[2]-sizes[1])) - float64(length)
		s.row(append(row, fmt.Sprintf("%.0f", max(0, slope)))...)
		r.atMost(400, max(0, slope), "`-f "+format+"`: bytes per distinct path beyond its length")
	}
	return nil
}

// Numbers of which the decisive one is ten times larger in a long run.
func (l *lab) larger(n int) int {
	if l.long {
		n *= 10
	}
	return l.scaled(n)
}

// benchEvents: what the supervisor spends on each event, which must not be memory.
func benchEvents(l *lab, r *report) error {
	few, many := l.scaled(100_000), l.larger(1_000_000)
	counts := thousands([]int{few, many})
	s := r.section("Memory and time by events", `
Peak resident memory of the supervisor in MiB for so many lookups of 1,000 paths, and the seconds of processor time
that a million more of them cost it.`,
		slices.Concat([]string{""}, counts, []string{"s per million"})...)
	modes := []mode{{floor, []string{l.floor}}}
	for _, format := range formats {
		modes = append(modes, l.traced(format, "-f", format))
	}
	for _, m := range modes {
		wanted, done := l.want("memory/events/" + m.name)
		if !wanted {
			continue
		}
		less, err := l.use(m, load{distinct: 1000, lookups: few, processes: 1})
		if err != nil {
			return err
		}
		more, err := l.use(m, load{distinct: 1000, lookups: many, processes: 1})
		if err != nil {
			return err
		}
		done()
		s.row(m.name, megabytes(less.peak), megabytes(more.peak), number(perMillion(less, more, many-few)))
		if m.name != floor {
			r.atMost(1.25, more.peak/less.peak, fmt.Sprintf("`-f %s`: memory for %s events over 1,000 paths, of that for %s",
				m.name, counts[1], counts[0]))
		}
	}
	return nil
}

// benchTracees: what the supervisor needs for each process that it follows.
func benchTracees(l *lab, r *report) error {
	counts := []int{1, 8, 64}
	lookups := l.scaled(256_000)
	s := r.section("Memory and time by processes", fmt.Sprintf(`
Peak resident memory of the supervisor in MiB and the seconds of processor time that a million events cost it, with so many processes
that live at the same time and share %s lookups of 1,000 paths.`, thousands([]int{lookups})[0]),
		"", "1, MiB", "8, MiB", "64, MiB", "1, s", "8, s", "64, s")
	for _, m := range l.modes()[1:4] {
		wanted, done := l.want("memory/processes/" + m.name)
		if !wanted {
			continue
		}
		var peaks, cpu []string
		for _, n := range counts {
			u, err := l.use(m, load{distinct: 1000, lookups: lookups, processes: n})
			if err != nil {
				return err
			}
			peaks = append(peaks, megabytes(u.peak))
			cpu = append(cpu, number(perMillion(usage{}, u, lookups)))
		}
		done()
		s.row(slices.Concat([]string{m.name}, peaks, cpu)...)
	}
	return nil
}

// thousands prints numbers with their commas.
func thousands(list []int) (cells []string) {
	for _, n := range list {
		text := strconv.Itoa(n)
		var groups []string
		for ; len(text) > 3; text = text[:len(text)-3] {
			groups = append([]string{text[len(text)-3:]}, groups...)
		}
		cells = append(cells, strings.Join(append([]string{text}, groups...), ","))
	}
	return cells
}
