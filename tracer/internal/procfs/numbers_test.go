package procfs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"golang.org/x/sys/unix"
)

// TestNumbers: also of a directory that one buffer does not hold.
func TestNumbers(t *testing.T) {
	const files = 1000
	dir := t.TempDir()
	var want []int
	for i := range files {
		want = append(want, i)
		for _, name := range []string{fmt.Sprint(i), fmt.Sprint("x", i)} {
			if err := os.WriteFile(filepath.Join(dir, name), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	got, err := Numbers(dir)
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("%d numbers, want %d, %v", len(got), len(want), err)
	}
	if _, err := Numbers(filepath.Join(dir, "missing")); !errors.Is(err, unix.ENOENT) {
		t.Errorf("of a directory that is not there: %v", err)
	}
}
