package programs

import (
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// stressedProcesses are the stressors of stress-ng that make and end processes; those of
// its class "filesystem" come with them.
var stressedProcesses = []string{
	"clone", "daemon", "exec", "exit-group", "fork", "kill", "nice", "pidfd", "pthread", "schedpolicy", "session", "sigchld", "sigq",
	"sigsuspend", "sleep", "spawn", "switch", "vfork", "vforkmany", "wait", "zombie",
}

// stressReasons are those that a record of a stressor may have.
var stressReasons = map[string]string{
	"handle":  "unresolved_path",    // it may not open what it has a handle of, nor may fstrace
	"procfs":  "unresolved_path",    // what is in /proc goes while it is looked at
	"daemon":  "descendant_running", // daemons outlive it
	"session": "descendant_running", // it makes orphans, and does not wait for them
}

// tooMuch are stressors that fill the disk.
var tooMuch = []string{"forkheavy"}

// TestProgramStressNG: the stressors find in a trace what they find outside, and leave
// nothing.
func TestProgramStressNG(t *testing.T) {
	if os.Getenv("FSTRACE_STRESS") == "" {
		t.Skip("heavy: make stress")
	}
	out, err := exec.Command("stress-ng", "--class", "filesystem?").Output()
	if err != nil {
		t.Skipf("needs stress-ng (Debian: stress-ng): %v", err)
	}
	_, list, ok := strings.Cut(string(out), ":")
	if !ok {
		t.Fatalf("no list of stressors: %s", out)
	}
	d := startServicesDaemon(t)
	for _, name := range append(strings.Fields(list), stressedProcesses...) {
		if slices.Contains(tooMuch, name) {
			continue
		}
		s := &service{
			workload: workload{name: name, argv: func(b *bench) []string {
				return []string{b.tool("stress-ng"), "--temp-path", b.dir, "--" + name, "1", fmt.Sprintf("--%s-ops", name), "5", "--timeout", "5s", "--quiet"}
			}},
			asUser: harness.Nobody,
		}
		if reason := stressReasons[name]; reason != "" {
			s.reasons, s.flags = []string{reason}, []string{"-q"}
		}
		t.Run(name, func(t *testing.T) { s.compare(t, d) })
	}
}
