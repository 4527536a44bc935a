package observe

import (
	"slices"
	"testing"
)

func TestScriptsBefore(t *testing.T) {
	for _, test := range []struct {
		argv []string
		want []string
	}{
		{nil, nil},
		{[]string{"/i"}, nil},
		{[]string{"/i", "./prog"}, nil},
		{[]string{"/i", "./prog", "./prog"}, nil},
		{[]string{"/bin/sh", "/i", "./prog"}, []string{"/i"}},
		{[]string{"/bin/sh", "-e", "/i", "./prog", "x"}, []string{"-e", "/i"}},
		{[]string{"/bin/sh", "a", "b", "c", "./prog"}, nil},
		{[]string{"/bin/sh", "/other"}, nil},
	} {
		if got := scriptsBefore(test.argv, "./prog"); !slices.Equal(got, test.want) {
			t.Errorf("%q: %q, want %q", test.argv, got, test.want)
		}
	}
}
