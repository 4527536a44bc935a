package tracer

import "sync"

// A mailbox is an unbounded queue of messages to one goroutine. Sending never
// waits, so that the tracer thread can send.
//
// To wake that goroutine costs the sender a system call, and a processor that was idle
// its sleep. What need not be known at once is posted: it is taken with the next
// message that is sent, or when there are many.
type mailbox[M any] struct {
	mu       sync.Mutex
	messages []M
	prompt   bool // posting is sending
	soon     bool // flush is to wake the goroutine
	ready    chan struct{}
}

// postLimit is how many posted messages may wait for a send. Each may hold a
// descriptor.
const postLimit = 16

func newMailbox[M any]() *mailbox[M] {
	return &mailbox[M]{ready: make(chan struct{}, 1)}
}

// send adds a message, and wakes the receiver, which takes all that were added before.
func (b *mailbox[M]) send(m M) {
	b.mu.Lock()
	b.messages = append(b.messages, m)
	b.mu.Unlock()
	signal(b.ready)
}

// post adds a message that may wait.
func (b *mailbox[M]) post(m M) {
	b.mu.Lock()
	b.messages = append(b.messages, m)
	wake := b.prompt || len(b.messages) >= postLimit
	b.mu.Unlock()
	if wake {
		signal(b.ready)
	}
}

// postSoon adds a message that may wait until flush is called.
func (b *mailbox[M]) postSoon(m M) {
	b.mu.Lock()
	b.soon = true
	b.mu.Unlock()
	b.post(m)
}

// flush has what postSoon added taken now.
func (b *mailbox[M]) flush() {
	b.mu.Lock()
	wake := b.soon
	b.mu.Unlock()
	if wake {
		signal(b.ready)
	}
}

// bePrompt makes the receiver take all posted messages, now and whenever one is posted.
func (b *mailbox[M]) bePrompt() {
	b.mu.Lock()
	b.prompt = true
	b.mu.Unlock()
	signal(b.ready)
}

// take returns all messages, in the order in which they were added. Ready becomes
// readable when there are some to be taken.
func (b *mailbox[M]) take() []M {
	b.mu.Lock()
	defer b.mu.Unlock()
	m := b.messages
	b.messages, b.soon = nil, false
	return m
}
