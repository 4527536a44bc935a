// Package matrix runs fstrace on kernels and an architecture that the machine does not
// have, in machines that qemu emulates: see matrix.sh. docs/platforms.md has what came of
// all of them; the test here runs one.
package matrix

import (
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// TestArm64 boots a kernel of arm64 and makes five checks. It needs Debian's apt-get, for
// the kernel and the emulator, which it downloads; where they cannot be downloaded, it is
// skipped, in CI too: this machine cannot run the architecture.
func TestArm64(t *testing.T) {
	for _, tool := range []string{"apt-get", "dpkg-deb", "chroot", "bash", "go"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("arm64 cannot be run here: %v", err)
		}
	}
	if out, err := exec.Command("./matrix.sh", "fetch").CombinedOutput(); err != nil {
		t.Skipf("arm64 cannot be run here: %v\n%s", err, out)
	}
	out, err := exec.Command("./matrix.sh", "quick").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	var passed []string
	for _, m := range regexp.MustCompile(`(?m)^R\|.*\|aarch64\|.*\|0\|.*\|(\w+)\|(\w+)\|`).FindAllStringSubmatch(string(out), -1) {
		passed = append(passed, m[1]+" "+m[2])
	}
	want := []string{"doctor ok", "manifest ok", "many ok", "eintr ok", "kill9 ok"}
	if !slices.Equal(passed, want) {
		t.Errorf("checks: %s, want %s\n%s", strings.Join(passed, ", "), strings.Join(want, ", "), out)
	}
}
