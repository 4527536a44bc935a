package recorder

import (
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"slices"
)

// A Module is an ELF file with code, libc say, and where in it are bytes that nothing
// executes: between two functions, as the table of its unwind information says
// (.eh_frame_hdr: the Linux Standard Base), filled with instructions that do nothing. It
// is for one goroutine at a time.
type Module struct {
	from   uint64 // file offset of the code
	size   uint64
	gaps   []uint64          // where nothing is executed
	idle   [][gapSize]byte   // what is there
	chosen map[uint64]uint64 // by site
	taken  map[uint64]bool
}

// gapSize is what a jump needs.
const gapSize = 5

// errNoTable says that a module has no table of functions as linkers make it.
var errNoTable = errors.New("recorder: no table of functions")

// ReadModule reads an ELF file.
func ReadModule(r io.ReaderAt) (*Module, error) {
	f, err := elf.NewFile(r)
	if err != nil {
		return nil, fmt.Errorf("recorder: %w", err)
	}
	m := &Module{chosen: make(map[uint64]uint64), taken: make(map[uint64]bool)}
	var code, table *elf.Prog
	for _, p := range f.Progs {
		switch {
		case p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0 && code == nil:
			code = p
		case p.Type == elf.PT_LOAD && p.Flags&elf.PF_X != 0:
			return nil, errNoTable // of more than one segment with code
		case p.Type == elf.PT_GNU_EH_FRAME:
			table = p
		}
	}
	if f.Machine != elf.EM_X86_64 || code == nil || table == nil || code.Filesz > maxCode || table.Filesz > maxCode {
		return nil, errNoTable
	}
	m.from, m.size = code.Off, code.Filesz
	functions, err := functionsOf(f, table, code)
	if err != nil {
		return nil, err
	}
	return m, m.scan(code, spacesOf(functions))
}

// maxCode bounds how much of a module is read.
const maxCode = 64 << 20

// A function is a stretch of the code that the table describes, by offsets in it.
type function struct{ from, to uint64 }

// functionsOf reads the table: a header, and pairs of a function's begin and its
// description, relative to the table.
func functionsOf(f *elf.File, table, code *elf.Prog) ([]function, error) {
	b := make([]byte, table.Filesz)
	if _, err := table.ReadAt(b, 0); err != nil {
		return nil, fmt.Errorf("recorder: read the table of functions: %w", err)
	}
	const head, pair = 12, 8
	// Version 1; a pointer of 4 bytes relative to itself; a count of 4 bytes; pairs of 4
	// bytes relative to the table (DW_EH_PE_sdata4 and others).
	if len(b) < head || b[0] != 1 || b[1] != 0x1b || b[2] != 0x03 || b[3] != 0x3b {
		return nil, errNoTable
	}
	count := uint64(native.Uint32(b[8:]))
	if uint64(len(b)-head)/pair < count {
		return nil, errNoTable
	}
	frames, from, err := segmentAt(f, table.Vaddr)
	if err != nil {
		return nil, err
	}
	list := make([]function, 0, count)
	for i := range count {
		begin := table.Vaddr + uint64(int64(int32(native.Uint32(b[head+pair*i:]))))
		at := table.Vaddr + uint64(int64(int32(native.Uint32(b[head+pair*i+4:])))) - from
		// Length, which stands for 64-bit if it is the greatest; the common part's
		// distance; begin and length.
		const entry = 16
		if at > uint64(len(frames)) || uint64(len(frames))-at < entry || native.Uint32(frames[at:]) == 1<<32-1 {
			return nil, errNoTable
		}
		fn := function{from: begin - code.Vaddr}
		fn.to = fn.from + uint64(native.Uint32(frames[at+12:]))
		if fn.from > code.Filesz || fn.to > code.Filesz || fn.to < fn.from {
			continue // of another segment
		}
		list = append(list, fn)
	}
	slices.SortFunc(list, func(a, b function) int { return int(int64(a.from - b.from)) })
	return list, nil
}

// segmentAt returns what a file has loaded around an address, and where that begins.
func segmentAt(f *elf.File, addr uint64) (b []byte, from uint64, err error) {
	for _, p := range f.Progs {
		if p.Type == elf.PT_LOAD && addr >= p.Vaddr && addr-p.Vaddr < p.Filesz && p.Filesz <= maxCode {
			b = make([]byte, p.Filesz)
			if _, err := p.ReadAt(b, 0); err != nil {
				return nil, 0, fmt.Errorf("recorder: read unwind information: %w", err)
			}
			return b, p.Vaddr, nil
		}
	}
	return nil, 0, errNoTable
}

// spacesOf returns the stretches between functions, in their place.
func spacesOf(functions []function) (list []function) {
	list = functions[:0] // there are fewer
	end := uint64(0)
	for i, fn := range functions {
		if i > 0 && fn.from >= end+gapSize && fn.from-end <= longestSpace {
			list = append(list, function{end, fn.from})
		}
		end = max(end, fn.to)
	}
	return list
}

// longestSpace is what alignment needs; more than that is code without a description.
const longestSpace = 64

// scan finds out which spaces do nothing, and divides them. It reads the code piece by
// piece, as it is more than is worth keeping.
func (m *Module) scan(code io.ReaderAt, spaces []function) error {
	const piece = 64 << 10
	b := make([]byte, piece+longestSpace)
	n := uint64(0)
	for _, s := range spaces {
		n += (s.to - s.from) / gapSize
	}
	m.gaps, m.idle = make([]uint64, 0, n), make([][gapSize]byte, 0, n)
	for from := uint64(0); from < m.size && len(spaces) > 0; from += piece {
		b := b[:min(uint64(len(b)), m.size-from)]
		if _, err := code.ReadAt(b, int64(from)); err != nil {
			return fmt.Errorf("recorder: read code: %w", err)
		}
		for ; len(spaces) > 0 && spaces[0].from < from+piece; spaces = spaces[1:] {
			s := spaces[0]
			if !idle(b[s.from-from : s.to-from]) {
				continue
			}
			for at := s.from; at+gapSize <= s.to; at += gapSize {
				m.gaps = append(m.gaps, at)
				m.idle = append(m.idle, [gapSize]byte(b[at-from:]))
			}
		}
	}
	return nil
}

// idle reports whether code does nothing: int3, and the forms of nop with which
// assemblers fill space.
func idle(b []byte) bool {
	for len(b) > 0 {
		prefixes := 0
		for prefixes < len(b) && (b[prefixes] == 0x66 || b[prefixes] == 0x2e) {
			prefixes++
		}
		rest := b[prefixes:]
		n := 0
		switch {
		case len(rest) >= 1 && (rest[0] == 0x90 || rest[0] == 0xcc && prefixes == 0):
			n = 1
		case len(rest) >= 3 && rest[0] == 0x0f && rest[1] == 0x1f:
			switch rest[2] { // the form of its operand
			case 0x00:
				n = 3
			case 0x40:
				n = 4
			case 0x44:
				n = 5
			case 0x80:
				n = 7
			case 0x84:
				n = 8
			}
		}
		if n == 0 || n > len(rest) {
			return false
		}
		b = rest[n:]
	}
	return true
}

// Gap returns the gap that belongs to a site: both are offsets in the file. It returns
// false if there is none near enough.
func (m *Module) Gap(site uint64) (gap uint64, ok bool) {
	if gap, ok := m.chosen[site]; ok {
		return gap + m.from, gap != 0
	}
	at := site - m.from
	if site < m.from || at >= m.size {
		return 0, false
	}
	m.chosen[site] = 0
	const reach = 126
	i, _ := slices.BinarySearch(m.gaps, at-min(at, reach))
	for ; i < len(m.gaps) && m.gaps[i] <= at+reach; i++ {
		if gap := m.gaps[i]; !m.taken[gap] {
			m.taken[gap] = true
			m.chosen[site] = gap
			return gap + m.from, true
		}
	}
	return 0, false
}

// Idle returns what is in a gap, to be compared with a process's memory.
func (m *Module) Idle(gap uint64) (b [gapSize]byte) {
	if i, is := slices.BinarySearch(m.gaps, gap-m.from); is {
		b = m.idle[i]
	}
	return b
}
