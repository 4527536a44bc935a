package seccomp

import (
	"errors"

	"golang.org/x/net/bpf"
)

// A Key is a random number of a session. A process that records its own calls uses it to
// make a call that need not be notified: it puts Key.At(address) into r9, where address
// is that of the instruction after its syscall instruction. r9 is the sixth argument,
// which none of these calls has.
//
// The address is part of the value because the kernel keeps r9 when it enters a signal
// handler. A handler that runs just after a recorded call has the value in r9, and its
// own calls must be notified.
//
// The processes that have the key can read it. A process that uses it to hide its calls
// can hide only calls that change nothing: calls that change something have no rule with
// a Key.
type Key uint64

// At returns the value for a call whose syscall instruction ends at address.
func (k Key) At(address uint64) uint64 { return uint64(k) ^ address }

// hasKey reports whether calls of an ABI can carry a key.
func (a *ABI) hasKey() bool { return a.Name == "x86_64" }

// keyOf returns the key that rules have, nil if none has one.
func keyOf(rules []Rule) (*Key, error) {
	var key *Key
	for _, r := range rules {
		switch {
		case r.Key == nil:
		case r.Where != nil:
			return nil, errors.New("seccomp: the rule for " + r.Syscall + " has both a key and an argument")
		case key != nil && *key != *r.Key:
			return nil, errors.New("seccomp: rules have different keys")
		default:
			key = r.Key
		}
	}
	return key, nil
}

// checkKey is the leaf of a decision tree at which the key is checked. No filter returns
// it: it is replaced by a jump of the same length.
const checkKey = 0x7fc00001

// Offsets in struct seccomp_data of the words that identify a keyed call, low words
// first.
const (
	offPointer = 8
	offSixth   = offArgs + 5*8
)

// withKeyCheck puts the check of the key behind a tree, and replaces each checkKey by a
// jump to it. Instructions keep their places, so that the tree's own jumps stay right.
//
//	ld ip low; tax; ld r9 low; xor x; if != key low goto notify
//	ld ip high; tax; ld r9 high; xor x; if != key high goto notify
//	ret ALLOW
//	notify: ret NOTIFY
func withKeyCheck(tree []bpf.Instruction, key *Key) []bpf.Instruction {
	end, used := len(tree), false
	for i, in := range tree {
		if in == (bpf.RetConstant{Val: checkKey}) {
			tree[i], used = bpf.Jump{Skip: uint32(end - i - 1)}, true
		}
	}
	if !used {
		return tree
	}
	low, high := uint32(*key), uint32(*key>>32)
	return append(tree,
		bpf.LoadAbsolute{Off: offPointer, Size: wordSize}, bpf.TAX{},
		bpf.LoadAbsolute{Off: offSixth, Size: wordSize}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: low, SkipTrue: 6},
		bpf.LoadAbsolute{Off: offPointer + wordSize, Size: wordSize}, bpf.TAX{},
		bpf.LoadAbsolute{Off: offSixth + wordSize, Size: wordSize}, bpf.ALUOpX{Op: bpf.ALUOpXor},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: high, SkipTrue: 1},
		bpf.RetConstant{Val: retAllow},
		bpf.RetConstant{Val: retNotify})
}
