package tracer

import (
	"slices"
	"testing"
)

// TestMailbox: which ways of adding a message have it taken.
func TestMailbox(t *testing.T) {
	for name, test := range map[string]struct {
		add   func(*mailbox[int])
		ready bool
		taken []int
	}{
		"send":              {func(b *mailbox[int]) { b.send(1) }, true, []int{1}},
		"post":              {func(b *mailbox[int]) { b.post(1) }, false, []int{1}},
		"post, send":        {func(b *mailbox[int]) { b.post(1); b.send(2) }, true, []int{1, 2}},
		"post, flush":       {func(b *mailbox[int]) { b.post(1); b.flush() }, false, []int{1}},
		"postSoon":          {func(b *mailbox[int]) { b.postSoon(1) }, false, []int{1}},
		"postSoon, flush":   {func(b *mailbox[int]) { b.postSoon(1); b.post(2); b.flush() }, true, []int{1, 2}},
		"taken, flush":      {func(b *mailbox[int]) { b.postSoon(1); b.take(); b.flush() }, false, nil},
		"post, prompt":      {func(b *mailbox[int]) { b.post(1); b.bePrompt() }, true, []int{1}},
		"prompt, then post": {func(b *mailbox[int]) { b.bePrompt(); <-b.ready; b.post(1) }, true, []int{1}},
		"many": {func(b *mailbox[int]) {
			for range postLimit {
				b.post(1)
			}
		}, true, slices.Repeat([]int{1}, postLimit)},
	} {
		t.Run(name, func(t *testing.T) {
			b := newMailbox[int]()
			test.add(b)
			if ready := len(b.ready) > 0; ready != test.ready {
				t.Errorf("ready: %t", ready)
			}
			if got := b.take(); !slices.Equal(got, test.taken) {
				t.Errorf("took %v, want %v", got, test.taken)
			}
		})
	}
}
