// Package fixed makes tests that draw their cases at random draw the same ones each
// time, but for make stress: what an ordinary run refuses is then due to the change
// that it tests, and not to a case that nobody had drawn before.
package fixed

import (
	"flag"
	"os"
	"strconv"
	"testing"
)

// Draws has a test's rapid.Checks draw n cases, the same ones each time; other ones if
// FSTRACE_STRESS is set; and what the command line says if it has a flag of rapid's.
// The test must import rapid.
func Draws(t *testing.T, n int) {
	t.Helper()
	set(t, "rapid.checks", strconv.Itoa(n))
	if os.Getenv("FSTRACE_STRESS") == "" {
		set(t, "rapid.seed", "1")
	}
}

// set sets a flag that the command line has left alone, until the test's end.
func set(t *testing.T, name, value string) {
	t.Helper()
	given := false
	flag.Visit(func(f *flag.Flag) { given = given || f.Name == name })
	if given {
		return
	}
	f := flag.Lookup(name)
	before := f.Value.String()
	if err := f.Value.Set(value); err != nil { // not flag.Set: a later test must find it unset
		t.Fatalf("-%s=%s: %v", name, value, err)
	}
	t.Cleanup(func() { _ = f.Value.Set(before) })
}
