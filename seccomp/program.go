package seccomp

import (
	"fmt"
	"slices"

	assembler "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
)

// A Rule selects a system call to be notified, in every ABI that has it.
type Rule struct {
	Syscall string
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
	wordSize   = 4
	maxProgram = 4096 // BPF_MAXINSNS

	retNotify = assembler.Action(0x7fc00000) // SECCOMP_RET_USER_NOTIF
	retAllow  = assembler.Action(0x7fff0000) // SECCOMP_RET_ALLOW
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
		section, err := assembleSection(group, rules, key)
		if err != nil {
			return nil, err
		}
		// Unconditional jumps reach further than the 8 bits of conditional ones.
		program = append(program,
			bpf.JumpIf{Cond: bpf.JumpEqual, Val: group[0].Audit, SkipTrue: 1},
			bpf.Jump{Skip: uint32(len(section))})
		program = append(program, section...)
	}
	program = append(program, bpf.RetConstant{Val: uint32(retNotify)})
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
	ret   assembler.Action
}

// assembleSection returns the code for ABIs that share an AUDIT_ARCH. It does not fall
// through.
func assembleSection(group []*ABI, rules []Rule, key *Key) ([]bpf.Instruction, error) {
	p := assembler.NewProgram()
	decide(&p, spans(group, rules))
	tree, err := p.Assemble()
	if err != nil {
		return nil, fmt.Errorf("seccomp: assemble filter for %s: %w", group[0].Name, err)
	}
	tree = withKeyCheck(tree, key)
	load := bpf.LoadAbsolute{Off: offNumber, Size: wordSize}
	return append([]bpf.Instruction{load}, tree...), nil
}

// spans lists what to do with each number of the group, 0 to the highest.
func spans(group []*ABI, rules []Rule) []span {
	type decision struct {
		nr    uint32
		where *Argument
		keyed bool
	}
	var notified []decision
	for _, abi := range group {
		for _, rule := range rules {
			for _, nr := range abi.Numbers(rule.Syscall) {
				notified = append(notified, decision{nr, rule.Where, rule.Key != nil && abi.hasKey()})
			}
		}
	}
	slices.SortFunc(notified, func(a, b decision) int { return int(int64(a.nr) - int64(b.nr)) })

	list := []span{{start: 0, ret: retAllow}}
	for _, d := range notified {
		last := &list[len(list)-1]
		switch {
		case len(list) > 1 && list[len(list)-2].start == d.nr: // a second rule for the same number
			list[len(list)-2].where, list[len(list)-2].keyed = nil, false
			continue
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

// decide emits the decision tree over list. The number is in the accumulator, and stays
// there but for spans that look at an argument, which return.
func decide(p *assembler.Program, list []span) {
	if len(list) == 1 {
		decideSpan(p, list[0])
		return
	}
	middle := len(list) / 2
	left, right := p.NewLabel(), p.NewLabel()
	p.JmpIf(bpf.JumpGreaterOrEqual, list[middle].start, right, left)
	p.SetLabel(left)
	decide(p, list[:middle])
	p.SetLabel(right)
	decide(p, list[middle:])
}

func decideSpan(p *assembler.Program, s span) {
	if s.keyed {
		p.Ret(checkKey)
		return
	}
	if s.where == nil {
		p.Ret(s.ret)
		return
	}
	notify := p.NewLabel()
	p.LdLo(uint32(s.where.Index))
	for _, v := range s.where.Values {
		p.JmpIfTrue(bpf.JumpEqual, v, notify)
	}
	if len(s.where.Values) == 0 {
		p.JmpIfTrue(bpf.JumpNotEqual, 0, notify)
		p.LdHi(uint32(s.where.Index))
		p.JmpIfTrue(bpf.JumpNotEqual, 0, notify)
	}
	if s.where.Except {
		p.Ret(s.ret)
		p.SetLabel(notify)
		p.Ret(retAllow)
		return
	}
	p.Ret(retAllow)
	p.SetLabel(notify)
	p.Ret(s.ret)
}
