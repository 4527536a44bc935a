package procfs

import (
	"os"
	"os/exec"
	"testing"
)

// A process that has called exec has another image, even of the same program.
func TestSameImage(t *testing.T) {
	self := os.Getpid()
	if !SameImage(self, self) {
		t.Error("a process has another image than itself")
	}
	for _, argv := range [][]string{{"sleep", "600"}, {"setarch", "-R", "sleep", "600"}} {
		var pids []int
		for range 2 {
			cmd := exec.Command(argv[0], argv[1:]...)
			if err := cmd.Start(); err != nil { // returns after the exec
				t.Skip(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			pids = append(pids, cmd.Process.Pid)
		}
		if SameImage(self, pids[0]) || SameImage(pids[0], pids[1]) {
			t.Errorf("%q: the same image", argv)
		}
	}
}
