package shim

import (
	"slices"
	"testing"
)

// TestSocketOf: nothing but a shim's own environment makes a process one.
func TestSocketOf(t *testing.T) {
	env := append(RuntimeSettings(), variable+"3")
	if socket, ok := socketOf(env); !ok || socket != 3 {
		t.Errorf("of a shim: %d, %t", socket, ok)
	}
	for _, other := range [][]string{
		nil,
		{variable + "3"},
		RuntimeSettings(),
		append(slices.Clone(env), "HOME=/root"),
		append([]string{"HOME=/root"}, env...),
		append([]string{"GOGC=on"}, env[1:]...),
		append(RuntimeSettings(), variable),
		append(RuntimeSettings(), variable+"x"),
		append(RuntimeSettings(), "HOME=3"),
	} {
		if socket, ok := socketOf(other); ok {
			t.Errorf("%q is taken for a shim's, of socket %d", other, socket)
		}
	}
}
