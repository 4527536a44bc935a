package seccomp

import (
	"fmt"
	"slices"

	assembler "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/net/bpf"
)

// A Rule asks for a system call to be notified, in each ABI that has it.
type Rule struct {
	Syscall string
	// Where, if not nil, narrows the rule by one of the arguments. It costs each call of
	// this number a run of the filter, where others are decided by the kernel's bitmap
	// (Linux 5.11).
	Where *Argument
	// Key, if not nil, lets calls of x86_64 that carry it pass. Calls of the same name by
	// other ABIs are notified. A rule has a Key or a Where, and all rules have the same Key.
	Key *Key
}

// An Argument is a condition on an argument of a call.
type Argument struct {
	Index int // from 0
	// Values are those that its low word may have. If there are none, the whole
	// argument must not be 0.
	Values []uint32
	// Except, if set, turns that round: the low word must be none of Values.
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

// Program assembles the filter that notifies the calls of rules in all of abis
// and lets every other call pass. It branches on architecture and number alone
// (but for Rule.Where), so that the kernel can decide calls that pass without
// running it.
//
// A call of an architecture that is none of abis is notified too, whatever its
// number: better a call more than one that nobody sees.
//
// The program is a row of sections, one an ABI, each a binary decision tree over
// number ranges; a dispatcher before them picks the section:
//
//	ld arch; if arch == ABI goto section ...; ret NOTIFY
//	section: ld nr; if nr >= a goto right; left: ...; right: ...
//
// Where rules have a Key, their numbers jump to the check of it, which stands once behind
// the tree of its section (key.go).
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

// assembleSection returns the code for ABIs that share an AUDIT_ARCH. It does
// not fall through.
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

// decide emits the decision tree over list. The number is in the accumulator,
// and stays there but for spans that look at an argument, which return.
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
