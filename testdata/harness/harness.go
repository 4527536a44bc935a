// Package harness is what the tests of several packages need.
package harness

import (
	"os"
	"testing"
)

// MissingTool skips a test whose tool is not installed. Where every tool has to be (CI is
// "true"), the test fails.
func MissingTool(t testing.TB, name string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
}
