package shim

import (
	"bytes"
	"encoding/binary"
	"errors"
	"runtime"
	"slices"
	"syscall"
	"testing"

	"pgregory.net/rapid"
)

// anyString draws bytes: an argument need not be UTF-8.
var anyString = rapid.Map(rapid.SliceOfN(rapid.Byte(), 0, 40), func(b []byte) string { return string(b) })

func drawLaunch(t *rapid.T) *Launch {
	strings := rapid.SliceOfN(anyString, 0, 8)
	instructions := rapid.SliceOfN(rapid.SliceOfN(rapid.Byte(), instructionSize, instructionSize), 0, 20).Draw(t, "filter")
	return &Launch{
		Path: anyString.Draw(t, "path"), Dir: anyString.Draw(t, "dir"),
		Argv: strings.Draw(t, "argv"), Env: strings.Draw(t, "env"),
		Filter:  slices.Concat(instructions...),
		Signals: Signals{Mask: rapid.Uint64().Draw(t, "mask"), Ignored: rapid.Uint64().Draw(t, "ignored")},
		Umask:   rapid.Int32().Draw(t, "umask"), Apart: rapid.Bool().Draw(t, "apart"), Tracer: rapid.Uint32().Draw(t, "tracer"),
	}
}

func sameLaunch(a, b *Launch) bool {
	return a.Path == b.Path && a.Dir == b.Dir && slices.Equal(a.Argv, b.Argv) && slices.Equal(a.Env, b.Env) &&
		slices.Equal(a.Filter, b.Filter) && a.Signals == b.Signals &&
		a.Umask == b.Umask && a.Apart == b.Apart && a.Tracer == b.Tracer
}

func TestLaunchRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := drawLaunch(t)
		b := want.Encode()
		if n := binary.LittleEndian.Uint32(b); int(n) != len(b)-4 {
			t.Fatalf("the length says %d, the message has %d bytes", n, len(b)-4)
		}
		got, err := decodeLaunch(b[4:])
		if err != nil || !sameLaunch(got, want) {
			t.Fatalf("sent %+v, received %+v, %v", want, got, err)
		}
		for n := range len(b) - 4 { // each place at which it may be cut off
			if _, err := decodeLaunch(b[4 : 4+n]); !errors.Is(err, errShortMessage) {
				t.Fatalf("%d of %d bytes: %v", n, len(b)-4, err)
			}
		}
	})
}

func TestFailureRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		want := Failure{Step: anyString.Draw(t, "step"), Errno: syscall.Errno(rapid.Uint32Range(0, 4095).Draw(t, "errno"))}
		b := want.Encode()
		if n := binary.LittleEndian.Uint32(b[1:]); b[0] != ReplyFailure || int(n) != len(b)-5 {
			t.Fatalf("begins with %q, the length says %d, the message has %d bytes", b[0], n, len(b)-5)
		}
		if got, err := DecodeFailure(b[5:]); err != nil || *got != want {
			t.Fatalf("sent %+v, received %+v, %v", want, got, err)
		}
	})
}

// TestDecodeAllocates: a length that lies must not cost memory.
func TestDecodeAllocates(t *testing.T) {
	huge := bytes.Repeat([]byte{0xff}, 64)
	for at := 0; at <= 60; at += 4 { // each of the lengths before it is 0
		message := make([]byte, 64)
		copy(message[at:], huge)
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		for range 100 {
			_, _ = decodeLaunch(message)
			_, _ = DecodeFailure(message)
		}
		runtime.ReadMemStats(&after)
		if n := (after.TotalAlloc - before.TotalAlloc) / 100; n > 16<<10 {
			t.Errorf("a lying length at %d makes decoding allocate %d bytes", at, n)
		}
	}
}

// FuzzDecodeLaunch: whatever comes, decoding ends, and what it accepts comes back.
func FuzzDecodeLaunch(f *testing.F) {
	f.Add((&Launch{Path: "/bin/sh", Dir: "/", Argv: []string{"sh", "-c", ""}, Env: []string{"A=b"}, Filter: []byte{6, 0, 0, 0, 1, 0, 0, 0}}).Encode()[4:])
	f.Add([]byte{})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff})
	f.Fuzz(func(t *testing.T, message []byte) {
		_, _ = DecodeFailure(message)
		l, err := decodeLaunch(message)
		if err != nil {
			return
		}
		if again, err := decodeLaunch(l.Encode()[4:]); err != nil || !sameLaunch(l, again) {
			t.Errorf("%+v comes back as %+v, %v", l, again, err)
		}
	})
}
