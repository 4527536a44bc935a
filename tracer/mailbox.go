package tracer

import "sync"

// A mailbox is an unbounded queue of messages to one goroutine. Sending never
// waits, so that the tracer thread can send.
type mailbox[M any] struct {
	mu       sync.Mutex
	messages []M
	ready    chan struct{}
}

func newMailbox[M any]() *mailbox[M] {
	return &mailbox[M]{ready: make(chan struct{}, 1)}
}

// send adds a message.
func (b *mailbox[M]) send(m M) {
	b.mu.Lock()
	b.messages = append(b.messages, m)
	b.mu.Unlock()
	signal(b.ready)
}

// take returns all messages, in the order in which they were sent. Ready becomes
// readable when there are some.
func (b *mailbox[M]) take() []M {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.messages
	b.messages = nil
	return m
}
