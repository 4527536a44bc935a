package signals

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// A signal ends fstrace also while it, or the daemon, hashes files that the command has
// used: for that command, nothing is left to be signalled.
func TestSignalWhileHashing(t *testing.T) {
	exe, d := harness.Fstrace(t), harness.StartDaemon(t)
	for name, flags := range map[string][]string{"embedded": nil, "connected": {d.Connect()}} {
		t.Run(name, func(t *testing.T) {
			dir := harness.OpenDir(t)
			harness.WriteFile(t, filepath.Join(dir, "huge"), "")
			if err := os.Truncate(filepath.Join(dir, "huge"), 1<<40); err != nil { // takes hours
				t.Skip(err)
			}
			var stderr bytes.Buffer
			cmd := exec.Command(exe, append(flags, "-f", "manifest", "-o", "manifest", "--", "sh", "-c", "head -c 1 huge >out; : >done")...)
			cmd.Dir, cmd.Stderr, cmd.Env = dir, &stderr, append(os.Environ(), "XDG_CACHE_HOME="+dir)
			cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			ended := make(chan error, 1)
			go func() { ended <- cmd.Wait() }()
			t.Cleanup(func() { syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) })
			harness.Eventually(t, "the command has ended", func() bool {
				if _, err := os.Stat(filepath.Join(dir, "done")); err != nil {
					return false
				}
				for _, p := range harness.Processes(t) {
					if p.Parent == cmd.Process.Pid && p.Session != p.PID { // no keeper
						return false
					}
				}
				return true
			})
			// One that comes at once may be the one that has ended the command.
			harness.Eventually(t, "fstrace has ended", func() bool {
				_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
				return len(ended) > 0
			})
			<-ended
			if code := cmd.ProcessState.ExitCode(); code != 125 || !strings.Contains(stderr.String(), "SIGTERM came before all files were hashed") {
				t.Errorf("exit status %d: %s", code, &stderr)
			}
			if _, err := os.Stat(filepath.Join(dir, "manifest")); err == nil {
				t.Error("there is a manifest")
			}
		})
	}
}
