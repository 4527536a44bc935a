package manifest

import (
	"errors"
	"testing"

	"github.com/fstrace/fstrace/events"
)

// TestExternal: what a command may have heard from outside has its kind, and check can be
// made to refuse it.
func TestExternal(t *testing.T) {
	var x externals
	x.connect("inet 127.0.0.1:80")
	x.connect("unix @name")
	list := x.sorted()
	if len(list) != 2 || list[0].Kind != ExternalNetwork || list[1].Kind != ExternalSocket {
		t.Errorf("%v", list)
	}
	known := &Surroundings{Stdin: events.DescriptorNull}
	for _, tt := range []struct {
		m       *Manifest
		refuse  []ExternalKind
		refused bool
	}{
		{&Manifest{Surroundings: known, External: list}, nil, false},
		{&Manifest{Surroundings: known, External: list}, []ExternalKind{ExternalPipe}, false},
		{&Manifest{Surroundings: known, External: list}, []ExternalKind{ExternalSocket}, true},
		{&Manifest{Surroundings: known}, ExternalKinds(), false},
		{&Manifest{}, ExternalKinds(), true}, // nobody knows what it started with
	} {
		_, err := check(tt.m, CheckOptions{Refuse: tt.refuse}, newFakeFS())
		if errors.Is(err, ErrExternal) != tt.refused {
			t.Errorf("%v, refusing %v: %v", tt.m.External, tt.refuse, err)
		}
	}
}
