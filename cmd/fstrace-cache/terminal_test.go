package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/creack/pty"
	"github.com/fstrace/fstrace/testdata/harness"
)

// onTerminal runs a command on a terminal of 91 columns and returns what it shows.
func (p *project) onTerminal(argv ...string) string {
	p.t.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = p.dir, append(os.Environ(), p.env...)
	tty, err := pty.StartWithSize(cmd, &pty.Winsize{Rows: 33, Cols: 91})
	if err != nil {
		p.t.Fatal(err)
	}
	defer tty.Close()
	text, _ := io.ReadAll(tty) // ends with EIO
	if err := cmd.Wait(); err != nil {
		p.t.Errorf("%q: %v\n%s", argv, err, text)
	}
	return string(text)
}

// TestTerminal: on a terminal the command has one, and what is shown again is what was
// shown.
func TestTerminal(t *testing.T) {
	harness.NeedTool(t, "stty")
	p := newProject(t)
	const script = "test -t 1 && echo terminal; test -t 2 && echo terminal >&2; printf 'a\\tb\\n'; stty size <&1; echo end >&2"
	want := p.onTerminal("sh", "-c", script)
	if !strings.Contains(want, "33 91") || strings.Count(want, "terminal") != 2 {
		t.Fatalf("bare: %q", want)
	}
	cached := []string{p.exe, "run", "-q", "--dir", p.store, "--", "sh", "-c", script}
	for i := range 3 {
		if got := p.onTerminal(cached...); got != want {
			t.Errorf("run %d shows %q, not %q", i, got, want)
		}
	}
	if stats := p.tool("stats", "--dir", p.store).Stdout; !strings.Contains(stats, "restored    2 ") {
		t.Errorf("stats:\n%s", stats)
	}
	if out, r := p.run("sh", "-c", script); r.Hit || strings.Contains(out.Stdout, "terminal") {
		t.Errorf("with pipes: %+v, %q", r, out.Stdout)
	}
}
