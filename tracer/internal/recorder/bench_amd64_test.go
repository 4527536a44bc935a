package recorder

import (
	"testing"

	"golang.org/x/sys/unix"
)

// BenchmarkStat is what a stat costs bare and recorded, in this process and without a
// filter, and what Drain takes for each.
func BenchmarkStat(b *testing.B) {
	l := newLab(b)
	l.ring.Open(Absolute | Relative)
	name, buffer := l.put("/etc/passwd")
	args := [5]uintptr{name, buffer}
	drain := func() {
		if err := l.ring.Drain(l.counter, true, func(*Record) {}); err != nil {
			b.Fatal(err)
		}
	}
	const some = slotCount / 2
	run := func(b *testing.B, bits uint64, calls, drains bool) {
		native.PutUint64(l.mem[token:], bits)
		for n := 0; n < b.N; n += some {
			if !calls {
				b.StopTimer()
			}
			for range min(some, b.N-n) {
				l.call(unix.SYS_STAT, args)
			}
			if calls {
				b.StopTimer()
			} else {
				b.StartTimer()
			}
			if drains || bits != 0 {
				drain()
			}
			b.StartTimer()
		}
	}
	b.Run("bare", func(b *testing.B) { run(b, 0, true, false) })
	b.Run("recorded", func(b *testing.B) { run(b, 1, true, true) })
	b.Run("drain", func(b *testing.B) { run(b, 1, false, true) })
}
