package summary

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/fstrace/fstrace/events"
)

// WriteBrief writes five lines: the time, the processes, the files, the paths that were
// not found, and whether the record is complete. Each begins with prefix.
func (s *Summary) WriteBrief(w io.Writer, prefix string) error {
	var b strings.Builder
	line := func(what, format string, args ...any) {
		fmt.Fprintf(&b, prefix+"%-10s "+format+"\n", append([]any{what}, args...)...)
	}
	exit := s.Exit.String()
	if s.IsCutOff {
		exit = "the record ends here"
	}
	line("time", "%s; %s", round(s.Duration), exit)
	line("processes", "%d, at most %d at once", s.Processes, s.AtOnce)
	line("files", "%d read, %d written or removed; %s", s.FilesRead, s.FilesWritten, counted(int(s.Counts.Total()), "event"))
	line("not found", "%s of %s", counted(s.Missed, "lookup"), counted(s.MissedPaths, "path"))
	switch {
	case s.IsCutOff:
		line("record", "cut off")
	case len(s.Incomplete) == 0:
		line("record", "complete")
	default:
		line("record", "incomplete: %s", strings.Join(reasons(s.Incomplete), ", "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteText writes the command, the five lines of WriteBrief, and lists of n: what was
// read most often, what was not found most often, and the slowest processes.
func (s *Summary) WriteText(w io.Writer, n int) error {
	if _, err := fmt.Fprintf(w, "%s\n", commandLine(s.Argv)); err != nil {
		return err
	}
	if err := s.WriteBrief(w, ""); err != nil {
		return err
	}
	var b strings.Builder
	paths := func(title string, list []PathCount) {
		if len(list) > 0 {
			fmt.Fprintf(&b, "\n%s\n", title)
		}
		for _, p := range list {
			fmt.Fprintf(&b, "%8d  %s\n", p.Count, events.Quote(p.Path))
		}
	}
	paths("read most often", s.MostRead(n))
	paths("not found most often", s.MostMissed(n))
	if list := s.Slowest(n); len(list) > 0 {
		b.WriteString("\nslowest processes\n")
		for _, p := range list {
			fmt.Fprintf(&b, "%8s  %d %s\n", round(p.Duration), p.PID, commandLine(p.Argv))
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// reasons lists each reason once, in the order of the record.
func reasons(list []events.Incomplete) (words []string) {
	seen := make(map[events.Reason]bool)
	for _, i := range list {
		if !seen[i.Reason] {
			seen[i.Reason] = true
			words = append(words, string(i.Reason))
		}
	}
	return words
}

// counted returns "1 path" or "2 paths".
func counted(n int, noun string) string {
	if n != 1 {
		noun += "s"
	}
	return fmt.Sprintf("%d %s", n, noun)
}

// round rounds a time for readers.
func round(d time.Duration) string {
	if d < 10*time.Millisecond {
		return d.Round(10 * time.Microsecond).String()
	}
	if d < 10*time.Second {
		return d.Round(time.Millisecond).String()
	}
	return d.Round(100 * time.Millisecond).String()
}

// longest is how many bytes of a command line are shown.
const longest = 200

// commandLine returns the arguments as one line, quoted where a shell needs it.
func commandLine(argv []string) string {
	words := make([]string, len(argv))
	for i, arg := range argv {
		if words[i] = events.Quote(arg); words[i] == arg && strings.ContainsAny(arg, " \t\"'\\$`|&;<>()*?[]#~") {
			words[i] = "'" + strings.ReplaceAll(arg, "'", `'\''`) + "'"
		}
	}
	line := strings.Join(words, " ")
	if len(line) > longest {
		line = strings.ToValidUTF8(line[:longest], "") + "…"
	}
	return line
}
