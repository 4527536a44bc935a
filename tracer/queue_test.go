package tracer

import (
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/testdata/harness"
)

// numberedEntry returns an entry whose access says which it is.
func numberedEntry(n int) *entry {
	e := new(entry)
	e.access.TID = n
	return e
}

// drain takes until the queue is closed and empty, and returns the numbers of the
// entries that were not dropped.
func drain(q *queue) (numbers []int) {
	var batch []*entry
	for {
		var more bool
		if batch, more = q.take(batch[:0]); !more {
			return numbers
		}
		for _, e := range batch {
			switch {
			case e.dropped:
			case e.process != nil:
				numbers = append(numbers, e.process.TID)
			default:
				numbers = append(numbers, e.access.TID)
			}
		}
		q.recycle(batch)
	}
}

// await returns once what was started has ended, or fails.
func await(t testing.TB, what string, done <-chan struct{}) {
	t.Helper()
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		buf := make([]byte, 1<<16)
		t.Fatalf("%s: still waiting\n%s", what, buf[:runtime.Stack(buf, true)])
	}
}

// finished runs f and returns a channel that is closed when it is over.
func finished(f func()) <-chan struct{} {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	return done
}

// TestQueueOrder: the record's order is that of reservation, whatever the order of
// settling.
func TestQueueOrder(t *testing.T) {
	q := newQueue()
	const n = 5000
	var got []int
	consumed := finished(func() { got = drain(q) })
	settle := make(chan *entry, 64)
	var settlers sync.WaitGroup
	for range 4 {
		settlers.Go(func() {
			var held []*entry // made final in another order than they came in
			flush := func() {
				rand.Shuffle(len(held), func(i, j int) { held[i], held[j] = held[j], held[i] })
				for _, e := range held {
					q.finish(e, e.access.TID%7 == 0)
				}
				held = held[:0]
			}
			for e := range settle {
				if held = append(held, e); len(held) > 10 {
					flush()
				}
			}
			flush()
		})
	}
	var want []int
	for i := range n {
		if i%7 != 0 {
			want = append(want, i)
		}
		if i%5 == 1 && i%7 != 0 {
			q.process(new(process), &events.Event{TID: i})
			continue
		}
		e := numberedEntry(i)
		q.reserve(e)
		settle <- e
	}
	close(settle)
	settlers.Wait()
	q.close()
	await(t, "the consumer", consumed)
	if !slices.Equal(got, want) {
		t.Errorf("took %d entries, want %d; the first that differs is number %d", len(got), len(want), firstDifference(got, want))
	}
}

// TestQueueSize: what was taken is used again, steps of processes as well.
func TestQueueSize(t *testing.T) {
	q := newQueue()
	blank := new(entry)
	var batch []*entry
	for range 1000 {
		for range 3 {
			q.process(new(process), &events.Event{})
		}
		e := blank
		blank = q.reserve(e)
		q.finish(e, false)
		batch, _ = q.take(batch[:0])
		q.recycle(batch)
	}
	if len(q.free) > 4 {
		t.Errorf("%d entries are kept", len(q.free))
	}
}

func firstDifference(a, b []int) int {
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return i
		}
	}
	return min(len(a), len(b))
}

// TestQueueUnsettledHoldsBack: what comes after an entry that is not final has to
// wait for it, and take does not return without anything to give.
func TestQueueUnsettledHoldsBack(t *testing.T) {
	q := newQueue()
	first, second := numberedEntry(1), numberedEntry(2)
	q.reserve(first)
	q.reserve(second)
	q.finish(second, false)
	var got []*entry
	took := finished(func() { got, _ = q.take(nil) })
	harness.Eventually(t, "the consumer sleeps", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.idle
	})
	q.finish(first, false)
	await(t, "take", took)
	if len(got) != 2 || got[0] != first || got[1] != second {
		t.Errorf("took %v, want both in order", got)
	}
}

// TestQueueDropped: a call that did not run leaves no trace, but its place is taken
// until then.
func TestQueueDropped(t *testing.T) {
	q := newQueue()
	var all []*entry
	for i := range 3 {
		all = append(all, numberedEntry(i))
		q.reserve(all[i])
	}
	for _, i := range []int{2, 0, 1} {
		q.finish(all[i], i == 1)
	}
	q.close()
	if got := drain(q); !slices.Equal(got, []int{0, 2}) {
		t.Errorf("took %v, want 0 and 2", got)
	}
}

// TestQueueClose ends a take that waits, and one that finds something left.
func TestQueueClose(t *testing.T) {
	q := newQueue()
	var got []int
	consumed := finished(func() { got = drain(q) })
	e := numberedEntry(1)
	q.reserve(e)
	q.finish(e, false)
	q.close()
	await(t, "the consumer", consumed)
	if !slices.Equal(got, []int{1}) {
		t.Errorf("took %v, want 1", got)
	}
	if batch, more := q.take(nil); more || len(batch) > 0 {
		t.Errorf("a closed queue gives %d entries, more %v", len(batch), more)
	}

	q = newQueue()
	ended := finished(func() { drain(q) })
	q.close()
	await(t, "take of an empty queue", ended)
}

// TestQueueCloseWaitsForSettle: what was reserved before close is not lost.
func TestQueueCloseWaitsForSettle(t *testing.T) {
	q := newQueue()
	e := numberedEntry(1)
	q.reserve(e)
	q.close()
	var got []int
	consumed := finished(func() { got = drain(q) })
	harness.Eventually(t, "the consumer sleeps", func() bool {
		q.mu.Lock()
		defer q.mu.Unlock()
		return q.idle
	})
	q.finish(e, false)
	await(t, "the consumer", consumed)
	if !slices.Equal(got, []int{1}) {
		t.Errorf("took %v, want 1", got)
	}
}

// TestQueueBackPressure: calls are held up when the consumer is slow for good, and
// steps of processes never are.
func TestQueueBackPressure(t *testing.T) {
	q := newQueue()
	for i := range queueLimit {
		e := numberedEntry(i)
		q.reserve(e)
		q.finish(e, false)
	}
	reserved := finished(func() {
		e := numberedEntry(queueLimit)
		q.reserve(e)
		q.finish(e, false)
	})
	steps := finished(func() { q.process(new(process), &events.Event{TID: -1}) })
	await(t, "a step of a process", steps)
	q.mu.Lock()
	length := len(q.entries)
	q.mu.Unlock()
	if length != queueLimit+1 {
		t.Fatalf("%d entries in a full queue, want the limit and the step", length)
	}
	select {
	case <-reserved:
		t.Fatal("a full queue has taken one more call")
	default:
	}
	if batch, more := q.take(nil); !more || len(batch) != queueLimit+1 {
		t.Fatalf("took %d, more %v", len(batch), more)
	}
	await(t, "the call, now that there is space", reserved)
	q.close()
	if got := drain(q); !slices.Equal(got, []int{queueLimit}) {
		t.Errorf("took %v, want the call that waited", got)
	}
}

// TestQueueCloseFreesReserve: nobody waits for space in a queue that is closed.
func TestQueueCloseFreesReserve(t *testing.T) {
	q := newQueue()
	for i := range queueLimit {
		q.reserve(numberedEntry(i))
	}
	reserved := finished(func() { q.reserve(numberedEntry(-1)) })
	q.close()
	await(t, "reserve", reserved)
}

// TestQueueRecycles: entries that come back are blank, and are used again.
func TestQueueRecycles(t *testing.T) {
	q := newQueue()
	e := numberedEntry(1)
	e.access.Target = "left over"
	if blank := q.reserve(e); blank == nil || blank == e {
		t.Fatalf("reserve gives %p for %p", blank, e)
	}
	q.finish(e, true)
	batch, _ := q.take(nil)
	q.recycle(batch)
	again := q.reserve(numberedEntry(2))
	if again != e || again.final || again.dropped || again.access.Target != "" || again.access.TID != 0 {
		t.Errorf("got %p %+v, want %p, blank", again, again, e)
	}
}

// TestQueueManyRounds has reservations outrun the consumer again and again:
// no wake-up may be lost.
func TestQueueManyRounds(t *testing.T) {
	q := newQueue()
	const n = 3 * queueLimit
	var got []int
	consumed := finished(func() { got = drain(q) })
	produced := finished(func() {
		for i := range n {
			e := numberedEntry(i)
			q.reserve(e)
			q.finish(e, false)
			if i%1000 == 0 {
				runtime.Gosched()
			}
		}
		q.close()
	})
	await(t, "the producer", produced)
	await(t, "the consumer", consumed)
	if len(got) != n || !slices.IsSorted(got) {
		t.Errorf("took %d of %d, in order: %v", len(got), n, slices.IsSorted(got))
	}
}
