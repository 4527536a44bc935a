package procfs

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// A process that has called exec has another image, even of the same program. Without
// random addresses it has none.
func TestImage(t *testing.T) {
	self, ok := Image(os.Getpid())
	if again, _ := Image(os.Getpid()); !ok || self != again {
		t.Fatalf("this process has the images %x and %x, %v", self, again, ok)
	}
	for _, argv := range [][]string{{"sleep", "600"}, {"setarch", "-R", "sleep", "600"}} {
		seen := map[uint64]bool{self: true}
		for range 2 {
			cmd := exec.Command(argv[0], argv[1:]...)
			if err := cmd.Start(); err != nil {
				t.Skip(err)
			}
			defer cmd.Wait()
			defer cmd.Process.Kill()
			deadline := time.Now().Add(20 * time.Second)
			for ReadLink(cmd.Process.Pid, "exe") != realSleep(t) {
				if time.Now().After(deadline) {
					t.Fatalf("%q does not come to be sleep", argv)
				}
			}
			id, ok := Image(cmd.Process.Pid)
			if random := argv[0] == "sleep"; ok != random || ok && seen[id] {
				t.Errorf("%q: image %x, %v", argv, id, ok)
			}
			seen[id] = true
		}
	}
}

func realSleep(t *testing.T) string {
	path, err := exec.LookPath("sleep")
	if err == nil {
		path, err = filepath.EvalSymlinks(path)
	}
	if err != nil {
		t.Skip(err)
	}
	return path
}
