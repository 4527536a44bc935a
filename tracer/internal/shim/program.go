package shim

import (
	"encoding/binary"
	"syscall"
)

// A program is what the stub runs: ops, each a system call, and what their arguments
// point to. It is put together here, and made bytes by encode, with addresses as they are
// at programBase.
//
// An op says which op is next: by the call's result (cases), or by whether it is an error
// number. A result can be stored, in the argument of an op, say, that comes later.
type program struct {
	ops    []op
	labels []int  // the op of each label
	data   []byte // what follows the ops
	words  []word // addresses in data
}

// programBase is where the stub puts a program. The stub is not position-independent
// (image.go), and there is nothing else there.
const programBase = 1 << 32

// An op is one system call. Without a next op for a kind of result, the following one is.
type op struct {
	call         int
	args         []operand
	result       operand // where the result goes; the zero operand is nowhere
	cases        []branch
	done, failed label // the next op after success, after an error number
}

// encodedOp is an op for the stub, in 64-bit words: the number of the call, six
// arguments, the address for the result or 0, that of the cases, and of the next ops.
const (
	opArguments = 1
	opResult    = 7
	opCases     = 8
	opDone      = 9
	opFailed    = 10
	opWords     = 11
	opSize      = 8 * opWords
)

// noCall is the number of no call: the result is the first argument.
const noCall = -1

// A branch is an op that follows a result.
type branch struct {
	result int64
	to     label
}

// A label is an op that is yet to be placed. The zero label is the following op.
type label int

// An operand is a number, or the address of something of the program's.
type operand struct {
	kind  operandKind
	value uint64
	of    label
}

type operandKind uint8

const (
	isNumber operandKind = iota
	isSocket             // the stub's socket, as a first argument
	isData               // an address, from the beginning of data
	isOp                 // that of a word of an op
)

// A word is a place in data that has an address.
type word struct {
	at      int
	operand operand
}

func number(n uint64) operand { return operand{kind: isNumber, value: n} }

func socket() operand { return operand{kind: isSocket} }

// argument is the place of an op's argument.
func argument(l label, n int) operand {
	return operand{kind: isOp, of: l, value: uint64(8 * (opArguments + n))}
}

// plus is an address a few bytes further on.
func (o operand) plus(bytes int) operand {
	o.value += uint64(bytes)
	return o
}

// newProgram returns a program without ops, with room for data.
func newProgram(dataSize int) *program {
	return &program{labels: append(make([]int, 0, 64), -1), ops: make([]op, 0, 128), data: make([]byte, 0, dataSize)}
}

// label makes a label, to be placed.
func (p *program) label() label {
	p.labels = append(p.labels, -1)
	return label(len(p.labels) - 1)
}

// place has a label stand for the op that is added next.
func (p *program) place(l label) { p.labels[l] = len(p.ops) }

// add adds an op.
func (p *program) add(o op) { p.ops = append(p.ops, o) }

// put adds data, aligned for the kernel's structures.
func (p *program) put(b []byte) operand {
	p.data = append(p.data, make([]byte, -len(p.data)&7)...)
	at := len(p.data)
	p.data = append(p.data, b...)
	return operand{kind: isData, value: uint64(at)}
}

// putString is put.
func (p *program) putString(s string) operand {
	o := p.put(nil)
	p.data = append(p.data, s...)
	return o
}

// string adds a string for the kernel, which ends with NUL.
func (p *program) string(s string) operand {
	at := len(p.data)
	p.data = append(append(p.data, s...), 0)
	return operand{kind: isData, value: uint64(at)}
}

// vector adds an array of words.
func (p *program) vector(list []operand) operand {
	at := p.put(make([]byte, 8*len(list)))
	for i, o := range list {
		if o != number(0) {
			p.words = append(p.words, word{int(at.value) + 8*i, o})
		}
	}
	return at
}

// encode returns the program as the stub reads it, its size first.
func (p *program) encode() []byte {
	// Cases become data as well: pairs of words, up to one that leads nowhere.
	tables := make([]operand, len(p.ops))
	none := p.put(make([]byte, 16))
	for i, o := range p.ops {
		tables[i] = none
		if len(o.cases) == 0 {
			continue
		}
		var pairs []operand
		for _, b := range o.cases {
			pairs = append(pairs, number(uint64(b.result)), operand{kind: isOp, of: b.to})
		}
		tables[i] = p.vector(append(pairs, number(0), number(0)))
	}
	ops := len(p.ops) * opSize
	size := ops + len(p.data)
	b := make([]byte, 8, 8+size)
	binary.NativeEndian.PutUint64(b, uint64(size))
	for i, o := range p.ops {
		words := [opWords]uint64{0: uint64(o.call), opCases: p.resolve(tables[i]), opDone: p.next(o.done, i), opFailed: p.next(o.failed, i)}
		for n, arg := range o.args {
			words[opArguments+n] = p.resolve(arg)
		}
		if o.result != (operand{}) {
			words[opResult] = p.resolve(o.result)
		}
		for _, w := range words {
			b = binary.NativeEndian.AppendUint64(b, w)
		}
	}
	for _, w := range p.words {
		binary.NativeEndian.PutUint64(p.data[w.at:], p.resolve(w.operand))
	}
	return append(b, p.data...)
}

// next returns the address of the op that follows op i.
func (p *program) next(l label, i int) uint64 {
	if l == 0 {
		return programBase + uint64((i+1)*opSize)
	}
	return p.resolve(operand{kind: isOp, of: l})
}

func (p *program) resolve(o operand) uint64 {
	switch o.kind {
	case isSocket:
		return 1<<64 - 1
	case isData:
		return programBase + uint64(len(p.ops)*opSize) + o.value
	case isOp:
		return programBase + uint64(p.labels[o.of]*opSize) + o.value
	}
	return o.value
}

// errorNumber is an error number as the kernel returns it.
func errorNumber(e syscall.Errno) operand { return number(uint64(-int64(e))) }
