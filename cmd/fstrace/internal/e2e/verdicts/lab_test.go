package verdicts

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A program is one that reads and changes a tree: operations of testdata/verdict/ops.c,
// or lines of a shell script.
type program struct {
	Shell bool
	Lines []string
	UID   int
	Told  bool // it may tell times, owners and link counts: check counts all of them
}

// A verdictLab runs programs in one directory, with fstrace and without.
type verdictLab struct {
	fstrace, ops, base, dir, manifest string
	checks                            verdictFlags
	meeting                           meeting
	// Whether programs run only when another change to the tree would show in its times:
	// of a directory that is renamed before, nothing is promised.
	settles bool
}

// verdictFlags are the predicates that the program under test has.
type verdictFlags struct{ asFound, times bool }

var builtOps = sync.OnceValues(func() ([]byte, error) {
	dir, err := os.MkdirTemp("", "fstrace-build-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	exe := filepath.Join(dir, "ops")
	source := harness.Source("testdata", "verdict", "ops.c")
	// Static, if there is a static C library: there are fewer inputs then.
	for _, flags := range [][]string{{"-static"}, nil} {
		var out []byte
		if out, err = exec.Command("gcc", append(flags, "-o", exe, source)...).CombinedOutput(); err == nil {
			return os.ReadFile(exe)
		}
		err = fmt.Errorf("gcc: %w\n%s", err, out)
	}
	return nil, err
})

func newVerdictLab(t testing.TB) *verdictLab {
	t.Helper()
	harness.NeedRoot(t, "to give files to other users")
	harness.NeedTool(t, "gcc")
	ops, err := builtOps()
	if err != nil {
		t.Fatal(err)
	}
	base := harness.OpenDir(t)
	l := &verdictLab{
		fstrace: harness.Fstrace(t), ops: filepath.Join(base, "ops"), base: base,
		dir: filepath.Join(base, "up", "t"), manifest: filepath.Join(base, "out", "m.json"),
	}
	harness.WriteExecutable(t, l.ops, ops)
	l.meeting = newMeeting(t, base)
	harness.Mkdir(t, l.dir, filepath.Join(base, "out"), l.cache(rootUID), l.cache(nobodyUID))
	for _, dir := range []string{filepath.Join(base, "out"), l.cache(nobodyUID)} {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	help, err := exec.Command(l.fstrace, "check", "--help").Output()
	if err != nil {
		t.Fatal(err)
	}
	l.checks = verdictFlags{asFound: bytes.Contains(help, []byte("--as-found")), times: bytes.Contains(help, []byte("--times"))}
	return l
}

// cache is where the hashes of a user's sessions are kept.
func (l *verdictLab) cache(uid int) string { return filepath.Join(l.base, fmt.Sprint("cache", uid)) }

// An ending is what a caller sees of a program.
type ending struct {
	out    string
	status syscall.WaitStatus
}

func (e ending) String() string { return fmt.Sprintf("%q, %s", e.out, harness.StatusName(e.status)) }

func (l *verdictLab) env(uid int) []string {
	return []string{"PATH=" + harness.StandardPath, "LC_ALL=C", "TZ=UTC0", "HOME=/nonexistent", "XDG_CACHE_HOME=" + l.cache(uid)}
}

func (l *verdictLab) exec(uid int, dir string, argv ...string) (ending, error) {
	var out bytes.Buffer
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = dir, &out, &out
	cmd.Env = l.env(uid)
	if uid != rootUID {
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uint32(uid), Gid: uint32(uid)}}
	}
	hung, err := startWithPatience(cmd)
	if err == nil {
		err = cmd.Wait()
		if hung() {
			return ending{}, errHung
		}
	}
	var exit *exec.ExitError
	if errors.Is(err, fs.ErrPermission) { // the user may not enter the directory
		return ending{}, errInapplicable
	}
	if err != nil && !errors.As(err, &exit) {
		return ending{}, fmt.Errorf("%q: %w", argv, err)
	}
	return ending{out.String(), cmd.ProcessState.Sys().(syscall.WaitStatus)}, nil
}

// errHung is of a program that does not end. Some do not: coreutils take hours to
// resolve a path in a tree of links to itself.
var errHung = errors.New("the program does not end")

// startWithPatience starts a command in a process group of its own, and kills that if
// it does not end in time. What it returns is to be called after Wait, and reports
// whether that was so.
func startWithPatience(cmd *exec.Cmd) (hung func() bool, err error) {
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	timer := time.AfterFunc(30*time.Second, func() { _ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
	return func() bool { return !timer.Stop() }, nil
}

func (l *verdictLab) argv(p *program) []string {
	if p.Shell {
		script := strings.ReplaceAll(strings.Join(p.Lines, "\n"), "MEET", fmt.Sprintf("echo >%s; read x <%s", l.meeting.here, l.meeting.to))
		return []string{"/bin/sh", "-c", script}
	}
	argv := append([]string{l.ops}, p.Lines...)
	for i := range argv {
		if argv[i] == "meet" {
			argv[i] += "," + l.meeting.here + "," + l.meeting.to
		}
	}
	return argv
}

// bare runs a program on a tree, and returns what it printed and left.
func (l *verdictLab) bare(p *program, on tree) (ending, tree, error) {
	return l.runOn(p, on, l.argv(p))
}

// restore makes the directory hold a tree, and removes what programs have put beside it.
func (l *verdictLab) restore(to tree) error {
	for _, dir := range []string{filepath.Dir(l.dir), l.base} {
		for _, name := range drawnPaths[:4] {
			if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
				return err
			}
		}
	}
	return to.restore(l.dir)
}

// traced does so under fstrace, which writes the manifest.
func (l *verdictLab) traced(p *program, on tree) (ending, tree, error) {
	return l.runOn(p, on, append([]string{l.fstrace, "-q", "-f", "manifest", "-o", l.manifest, "--"}, l.argv(p)...))
}

func (l *verdictLab) runOn(p *program, on tree, argv []string) (ending, tree, error) {
	if err := l.restore(on); err != nil {
		return ending{}, nil, err
	}
	for deadline := time.Now().Add(30 * time.Millisecond); l.settles && time.Now().Before(deadline); {
	}
	end, err := l.exec(p.UID, l.dir, argv...)
	if err != nil {
		return ending{}, nil, err
	}
	left, err := snapshot(l.dir)
	return end, left, err
}

// check asks for a verdict on what is there now.
func (l *verdictLab) check(p *program, asFound bool) (status int, out string, err error) {
	args := []string{l.fstrace, "check"}
	if asFound {
		args = append(args, "--as-found")
	}
	if p.Told {
		args = append(args, "--times", "strict")
	}
	end, err := l.exec(p.UID, l.base, append(args, l.manifest)...)
	if err == nil && (!end.status.Exited() || end.status.ExitStatus() > harness.ExitCannotTell) {
		err = fmt.Errorf("check ended with %s: %s", harness.StatusName(end.status), end.out)
	}
	return end.status.ExitStatus(), end.out, err
}
