package seccomp

import (
	"cmp"
	"fmt"
	"slices"

	"golang.org/x/net/bpf"
)

// A Rule selects a system call to be notified, in every ABI that has it.
type Rule struct {
	Syscall string // its name, as "openat"
	// Where, if not nil, restricts the rule by one argument. Then the kernel must run the
	// filter for each call of this number. For other numbers it uses a bitmap (Linux
	// 5.11).
	Where *Argument
	// Key, if not nil, lets calls of the x86_64 ABI pass that carry this key. Calls of
	// other ABIs are notified. A rule must not have both a Key and a Where, and all rules
	// must have the same Key.
	Key *Key
}

// An Argument is a condition on one argument of a call.
type Argument struct {
	Index int // from 0
	// Values are the values of the low word for which the call is notified. If there are
	// none, the call is notified unless the whole argument is 0.
	Values []uint32
	// Except inverts Values: the call is notified unless the low word is one of them.
	Except bool
}

// Offsets in struct seccomp_data, and results of a filter: linux/seccomp.h.
const (
	offNumber  = 0
	offArch    = 4
	offArgs    = 16
	wordSize   = 4
	maxProgram = 4096 // BPF_MAXINSNS

	retNotify = 0x7fc00000 // SECCOMP_RET_USER_NOTIF
	retAllow  = 0x7fff0000 // SECCOMP_RET_ALLOW
)

// Program assembles a filter that notifies the calls of rules in all of abis and lets
// every other call pass. It notifies every call of an architecture that is not in abis,
// so that no call is missed. A rule has no effect in an ABI that lacks the call. Program
// returns an error if rules contradict each other (see [Rule.Key]), or if the filter is
// longer than the kernel allows (BPF_MAXINSNS).
//
// The filter tests only the architecture and the number of a call, except for
// [Rule.Where] and [Rule.Key], so that the kernel need not run it for calls that pass.
//
// The program has a section for each ABI, which is a binary decision tree over ranges of
// numbers, and a dispatcher before them:
//
//	ld arch; if arch == ABI goto section ...; ret NOTIFY
//	section: ld nr; if nr >= a goto right; left: ...; right: ...
//
// The numbers of rules with a Key jump to the test of the key, which is behind the tree
// of the section (key.go).
func Program(abis []*ABI, rules []Rule) ([]bpf.RawInstruction, error) {
	key, err := keyOf(rules)
	if err != nil {
		return nil, err
	}
	var program []bpf.Instruction
	program = append(program, bpf.LoadAbsolute{Off: offArch, Size: wordSize})
	for _, group := range groupByAudit(abis) {
		section := assembleSection(group, rules, key)
		// Unconditional jumps reach further than the 8 bits of conditional ones.
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: group[0].Audit, SkipTrue: 1},
			bpf.Jump{Skip: uint32(len(section))})
		program = append(program, section...)
	}
	program = append(program, bpf.RetConstant{Val: retNotify})
	if len(program) > maxProgram {
		return nil, fmt.Errorf("seccomp: filter has %d instructions, the kernel takes %d", len(program), maxProgram)
	}
	return bpf.Assemble(program)
}

// groupByAudit gathers ABIs that the kernel gives the same AUDIT_ARCH.
func groupByAudit(abis []*ABI) [][]*ABI {
	var groups [][]*ABI
next:
	for _, abi := range abis {
		for i := range groups {
			if groups[i][0].Audit == abi.Audit {
				groups[i] = append(groups[i], abi)
				continue next
			}
		}
		groups = append(groups, []*ABI{abi})
	}
	return groups
}

// A span is a run of numbers, up to the next span's start, with one decision.
type span struct {
	start uint32
	where *Argument // if not nil, ret is for such calls only
	keyed bool      // ret is for calls without the key
	ret   uint32
}

// assembleSection returns the code for ABIs that share an AUDIT_ARCH. It does
// not fall through.
func assembleSection(group []*ABI, rules []Rule, key *Key) []bpf.Instruction {
	tree := decide(nil, spans(group, rules))
	slices.Reverse(tree)
	load := bpf.LoadAbsolute{Off: offNumber, Size: wordSize}
	return append([]bpf.Instruction{load}, withKeyCheck(tree, key)...)
}

// spans lists what to do with each number of the group, 0 to the highest.
func spans(group []*ABI, rules []Rule) []span {
	type decision struct {
		nr    uint32
		where *Argument
		keyed bool
	}
	byName := make(map[string]Rule, len(rules))
	for _, rule := range rules {
		if _, ok := byName[rule.Syscall]; ok { // a second rule for the same call
			rule.Where, rule.Key = nil, nil
		}
		byName[rule.Syscall] = rule
	}
	notified := make([]decision, 0, len(group)*len(rules))
	for _, abi := range group {
		for nr, name := range abi.Calls() {
			if rule, ok := byName[name]; ok {
				notified = append(notified, decision{nr, rule.Where, rule.Key != nil && abi.hasKey()})
			}
		}
	}
	slices.SortFunc(notified, func(a, b decision) int { return cmp.Compare(a.nr, b.nr) })

	list := []span{{start: 0, ret: retAllow}}
	for _, d := range notified {
		last := &list[len(list)-1]
		switch {
		case last.start == d.nr:
			*last = span{start: d.nr, where: d.where, keyed: d.keyed, ret: retNotify}
		default:
			list = append(list, span{start: d.nr, where: d.where, keyed: d.keyed, ret: retNotify})
		}
		list = append(list, span{start: d.nr + 1, ret: retAllow})
	}
	return mergeSpans(list)
}

// mergeSpans joins neighbours with the same decision.
func mergeSpans(list []span) []span {
	merged := list[:1]
	for _, s := range list[1:] {
		last := merged[len(merged)-1]
		if s.ret == last.ret && s.keyed == last.keyed && s.where == nil && last.where == nil {
			continue
		}
		merged = append(merged, s)
	}
	return merged
}

// decide appends the decision tree over list to code, last instruction first: so the
// lengths of jumps are known when they are appended. The number is in the accumulator,
// and stays there but for spans that look at an argument, which return.
func decide(code []bpf.Instruction, list []span) []bpf.Instruction {
	if len(list) == 1 {
		return decideSpan(code, list[0])
	}
	middle := len(list) / 2
	code = decide(code, list[middle:])
	right := len(code)
	code = decide(code, list[:middle])
	skip := len(code) - right
	if skip <= maxSkip {
		return append(code, bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: list[middle].start, SkipTrue: uint8(skip)})
	}
	return append(code, bpf.Jump{Skip: uint32(skip)},
		bpf.JumpIf{Cond: bpf.JumpGreaterOrEqual, Val: list[middle].start, SkipFalse: 1})
}

// maxSkip is how far a conditional jump reaches.
const maxSkip = 255

// decideSpan appends what to do with the numbers of one span, as decide does.
func decideSpan(code []bpf.Instruction, s span) []bpf.Instruction {
	switch {
	case s.keyed:
		return append(code, bpf.RetConstant{Val: checkKey})
	case s.where == nil:
		return append(code, bpf.RetConstant{Val: s.ret})
	}
	met, not := bpf.RetConstant{Val: s.ret}, bpf.RetConstant{Val: retAllow}
	if s.where.Except {
		met, not = not, met
	}
	code = append(code, met, not)
	low := uint32(offArgs + 8*s.where.Index)
	if len(s.where.Values) == 0 {
		return append(code,
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 1},
			bpf.LoadAbsolute{Off: low + wordSize, Size: wordSize},
			bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: 0, SkipTrue: 3},
			bpf.LoadAbsolute{Off: low, Size: wordSize})
	}
	for i, v := range slices.Backward(s.where.Values) {
		code = append(code, bpf.JumpIf{Cond: bpf.JumpEqual, Val: v, SkipTrue: uint8(len(s.where.Values) - i)})
	}
	return append(code, bpf.LoadAbsolute{Off: low, Size: wordSize})
}
