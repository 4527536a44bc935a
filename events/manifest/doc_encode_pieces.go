package manifest

import (
	"runtime"

	"github.com/fstrace/fstrace/events"
)

// rows are the elements of an array that may be long, in the order of n things: add adds
// the elements that are made of the i-th, each behind newRow. It is called for several
// pieces at once.
type rows struct {
	n   int
	add func(p *piece, i int)
}

const newRow = ",\n "

// A piece is some rows, and what the digest counts of them.
type piece struct {
	rows    []byte
	counted counted

	paths pathMaker
	clock clock

	// Of the entry that was made last.
	ops    opSet
	words  []events.Op
	digits []byte
}

const (
	rowsPerPiece = 256
	// fewPieces are made when they are written: to wake another processor takes as long
	// as some hundred rows.
	fewPieces = 8
)

func (p *piece) fill(r rows, number int) {
	p.rows = p.rows[:0]
	p.counted.reset()
	for i := number * rowsPerPiece; i < min((number+1)*rowsPerPiece, r.n); i++ {
		r.add(p, i)
	}
}

// opList is ops.list. Neighbours mostly have the same.
func (p *piece) opList(ops opSet) []events.Op {
	if ops != p.ops {
		p.ops, p.words = ops, ops.list()
	}
	return p.words
}

// A making is rows that goroutines make, in pieces so small that they stay in a
// processor's cache. Each goroutine is two pieces ahead at most.
type making struct {
	rows
	pieces int
	makers []maker // which take turns; none for few pieces
}

// A maker sends the pieces that it has filled, and gets them back when they are written.
type maker struct{ filled, written chan *piece }

// make begins. All pieces must be taken, or the goroutines stay.
func (r rows) make() *making {
	m := &making{rows: r, pieces: (r.n + rowsPerPiece - 1) / rowsPerPiece}
	if m.pieces < fewPieces {
		return m
	}
	m.makers = make([]maker, min(runtime.NumCPU(), m.pieces))
	for k := range m.makers {
		to := maker{make(chan *piece, 2), make(chan *piece, 2)}
		to.written <- new(piece)
		to.written <- new(piece)
		m.makers[k] = to
		go func() {
			for number := k; number < m.pieces; number += len(m.makers) {
				p := <-to.written
				p.fill(r, number)
				to.filled <- p
			}
		}()
	}
	return m
}

// write passes the pieces on in order.
func (m *making) write(to func(p *piece)) {
	if m.makers == nil {
		var p piece
		for number := range m.pieces {
			p.fill(m.rows, number)
			to(&p)
		}
		return
	}
	for number := range m.pieces {
		from := m.makers[number%len(m.makers)]
		p := <-from.filled
		to(p)
		from.written <- p
	}
}

// summed writes an array that the digest counts.
func (e *encoder) summed(name string, m *making) {
	e.digest.begin(name)
	e.array(name, m, e.digest.count)
}

// rows writes an array that it does not count.
func (e *encoder) rows(name string, m *making) { e.array(name, m, func(*counted) {}) }

func (e *encoder) array(name string, m *making, count func(*counted)) {
	e.key(name)
	e.raw("[")
	isFirst := true
	m.write(func(p *piece) {
		row := p.rows
		if isFirst && len(row) > 0 {
			row, isFirst = row[len(","):], false
		}
		e.write(row)
		count(&p.counted)
	})
	e.raw("]")
}
