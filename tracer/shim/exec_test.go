package shim

import (
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestCut(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.StringMatching("[ab:]*").Draw(t, "s")
		before, after, found := cut(s, ':')
		if b, a, f := strings.Cut(s, ":"); b != before || a != after || f != found {
			t.Fatalf("%q: %q, %q, %t", s, before, after, found)
		}
		prefix := rapid.StringMatching("[ab:]?[ab:]?").Draw(t, "prefix")
		rest, ok := cutPrefix(s, prefix)
		if r, o := strings.CutPrefix(s, prefix); r != rest || o != ok {
			t.Fatalf("%q without %q: %q, %t", s, prefix, rest, ok)
		}
	})
}
