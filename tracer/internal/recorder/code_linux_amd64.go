package recorder

import (
	"bytes"
	"encoding/binary"
	"errors"
	"sync"
)

// labels are places in the code, as offsets from its base, in the order of the table that
// the code begins with.
type labels struct {
	start, behind, kept           int
	gate, gateEnd, slow           int
	frame, frameEnd, unframe      int
	record, claim, claimed        int
	begun, checked, giveBack      int
	free, freeEnd, restore        int
	answer, answerEnd, unanswered int
	closing, closingEnd           int
	done, left                    int
	refuse, refuseEnd             int
	end                           int
}

// A program is the code, and where a thread goes on that a fault has met in it.
type program struct {
	labels
	text   []byte
	faults []fault
}

// A fault says that threads which fault from from up to to go on at then.
type fault struct{ from, to, then int }

// loadProgram reads the code in this program.
var loadProgram = sync.OnceValues(func() (*program, error) {
	text := codeAddress()[:]
	p := new(program)
	at := 0
	for _, label := range []*int{
		&p.start, &p.behind, &p.kept, &p.gate, &p.gateEnd, &p.slow, &p.frame, &p.frameEnd, &p.unframe, &p.record, &p.claim, &p.claimed, &p.begun, &p.checked, &p.giveBack,
		&p.free, &p.freeEnd, &p.restore, &p.answer, &p.answerEnd, &p.unanswered, &p.closing, &p.closingEnd, &p.done, &p.left,
		&p.refuse, &p.refuseEnd, &p.end,
	} {
		switch text[at] { // a jump by 8 or by 32 bits
		case 0xeb:
			*label = at + 2 + int(int8(text[at+1]))
			at += 2
		case 0xe9:
			*label = at + 5 + int(int32(binary.LittleEndian.Uint32(text[at+1:])))
			at += 5
		default:
			return nil, errors.New("recorder: the code has no table")
		}
	}
	if p.start != entry || p.end <= p.start || p.end >= pageSize || at > entry {
		return nil, errors.New("recorder: the code's table is wrong")
	}
	p.text = bytes.Clone(text[:p.end])
	p.faults = []fault{
		{p.gate, p.gateEnd, p.slow},
		{p.frame, p.frameEnd, p.unframe},
		{p.record, p.checked, p.giveBack},
		{p.free, p.freeEnd, p.restore},
		{p.answer, p.answerEnd, p.unanswered},
		{p.closing, p.closingEnd, p.done},
		{p.refuse, p.refuseEnd, p.restore},
	}
	return p, nil
})

// after returns where a thread goes on that a fault has met at an offset in the code. It
// returns false for places that do not fault if all is right.
func (p *program) after(offset int) (then int, ok bool) {
	for _, f := range p.faults {
		if f.from <= offset && offset < f.to {
			return f.then, true
		}
	}
	return 0, false
}
