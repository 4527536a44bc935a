package tracer

import "testing"

// TestForgetImages: an inner fstrace that has ended is kept by no image, but for one
// whose command is to be killed.
func TestForgetImages(t *testing.T) {
	n := newInners(nil)
	outer, nested, killed := &inner{inners: n}, &inner{inners: n}, &inner{inners: n}
	above := &family{inner: outer}
	below, dying := &family{inner: nested, up: above}, &family{inner: killed}
	n.images = map[uint64]*family{1: above, 2: below, 3: dying, 4: nil}
	expect := func(when string, want map[uint64]*family) {
		t.Helper()
		n.forgetImages()
		for id, f := range want {
			if n.images[id] != f {
				t.Errorf("%s: image %d is of %p, want %p", when, id, n.images[id], f)
			}
		}
	}
	expect("all are served", map[uint64]*family{1: above, 2: below, 3: dying, 4: nil})
	killed.told.Store(9)
	killed.over.Store(true)
	outer.over.Store(true)
	expect("the outer one has ended", map[uint64]*family{1: nil, 2: below, 3: dying, 4: nil})
	nested.over.Store(true)
	expect("both have", map[uint64]*family{1: nil, 2: nil, 3: dying, 4: nil})
}
