package launch

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestTimerSlack: of fstrace's threads the first one, the Go runtime's monitor, has a
// timer slack of its own. All others have the one that fstrace was started with.
func TestTimerSlack(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may read the timer slack of another process")
	}
	s := harness.StartSession(t, "exec sleep 600")
	pid := s.Cmd.Process.Pid
	slack := func(tid int) string {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/timerslack_ns", tid)) // the thread may just have ended
		return strings.TrimSpace(string(b))
	}
	want := slack(os.Getpid())
	harness.Eventually(t, "only the monitor has a slack of 1 ms", func() bool {
		tasks, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*", pid))
		if err != nil || len(tasks) < 4 {
			return false
		}
		var long []int
		for _, name := range tasks {
			tid, err := strconv.Atoi(filepath.Base(name))
			if err != nil {
				t.Fatal(err)
			}
			switch slack(tid) {
			case "1000000":
				long = append(long, tid)
			case want, "":
			default:
				return false
			}
		}
		return len(long) == 1 && long[0] != pid
	})
}
