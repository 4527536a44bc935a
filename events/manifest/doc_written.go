package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"hash/crc32"
	"io"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/fstrace/fstrace/internal/jsonstring"
)

// A writtenReader reads a document that is as Encode wrote it, byte for byte: an entry a
// line, no line break elsewhere, and the right checksum. It reads the document once, in
// blocks of whole lines that are summed and cut while they are in the processor's cache.
// Whatever the size of the document, no more of it is in memory than is kept: to
// get a page of memory from the kernel takes as long as to look at two files.
//
// The work is shared: each processor takes some rows, makes entries of them and comes
// back for more, and meanwhile another one reads. encoding/json reads what is not in the
// long arrays.
type writtenReader struct {
	r            io.Reader
	comparedOnly bool // passes over what explains the rest

	mu    sync.Mutex
	err   error  // why there are no more rows; io.EOF at the end
	buf   []byte // the block; nil if its rows are all that is in it
	data  []byte // what of it is still to be cut
	begun []byte // the beginning of a line behind data, which goes on in the next block
	sum   uint32
	array int       // in which array data is, -1 if in none
	after int       // which array was the last
	rest  []byte    // all that is in none
	head  *document // what comes before the first row
	count int       // blocks of rows

	lists   sync.Pool // of *[]Entry, to be used again
	buffers sync.Pool // of *[]byte, for buf
}

// errNotWritten says that Encode did not write such a document, or that its rows make no
// sense. Decoding it in another way finds out what is wrong.
var errNotWritten = errors.New("not as fstrace writes it")

// The arrays that are cut out, in the order in which they come.
var longArrays = [...]string{"inputs", "outputs", "processes", "accesses"}

// Indices of longArrays.
const (
	noArray = iota - 1
	inputsArray
	outputsArray
	explainingArray // and those after it
)

// A rowBlock is some rows of an array. There is a comma and a line break behind each but
// the array's last.
type rowBlock struct {
	array  int
	number int // blocks are numbered in the order of the document
	isLast bool
	rows   string
	buffer []byte // what rows are in, if nothing else is
}

const blockSize = 128 << 10

func newWrittenReader(r io.Reader, comparedOnly bool) *writtenReader {
	return &writtenReader{r: r, comparedOnly: comparedOnly, array: noArray, after: noArray}
}

// each calls do for the blocks of inputs and outputs, on all processors, until one fails.
func (w *writtenReader) each(do func(b *rowBlock) error) error {
	var all sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		all.Go(func() {
			for b, ok := w.next(); ok; b, ok = w.next() {
				if err := do(&b); err != nil {
					w.fail(err)
				}
			}
		})
	}
	all.Wait()
	if w.err != io.EOF {
		return w.err
	}
	return w.verify()
}

// fail has next return no more rows.
func (w *writtenReader) fail(err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.err = err
}

// next returns the next rows of inputs or outputs, and false if there are no more.
func (w *writtenReader) next() (b rowBlock, ok bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.err == nil {
		switch {
		case len(w.data) == 0:
			w.err = w.fill()
		case w.array == noArray:
			w.err = w.readRest()
		default:
			b = rowBlock{array: w.array, number: w.count}
			var rows []byte
			if rows, b.isLast = w.cutRows(); b.array < explainingArray {
				w.count++
				if len(w.data) > 0 {
					b.rows = string(rows)
				} else {
					b.rows, b.buffer, w.buf = textOf(rows), w.buf, nil
				}
				return b, true
			}
			if !w.comparedOnly {
				w.rest = append(w.rest, rows...)
			}
		}
	}
	return b, false
}

// fill reads the next block.
func (w *writtenReader) fill() error {
	if w.buf == nil { // the last one is still in use
		if again, ok := w.buffers.Get().(*[]byte); ok {
			w.buf = *again
		} else {
			w.buf = make([]byte, max(blockSize, len(w.begun)))
		}
	}
	n := copy(w.buf, w.begun)
	for {
		m, err := io.ReadFull(w.r, w.buf[n:])
		w.sum = crc32.Update(w.sum, castagnoli(), w.buf[n:n+m])
		n += m
		if end := bytes.LastIndexByte(w.buf[:n], '\n') + 1; end > 0 {
			w.data, w.begun = w.buf[:end], w.buf[end:n]
			return nil
		}
		switch {
		case err == io.EOF && n == 0:
			return io.EOF
		case err != nil:
			return errNotWritten
		}
		w.buf = append(w.buf, make([]byte, len(w.buf))...) // the line is longer
	}
}

// readRest reads lines up to the first row of a long array, or to the end of the block.
func (w *writtenReader) readRest() error {
	for len(w.data) > 0 {
		end := bytes.IndexByte(w.data, '\n') + 1
		line := w.data[:end]
		w.data = w.data[end:]
		w.rest = append(w.rest, line...)
		for i, name := range longArrays {
			rows, ok := strings.CutPrefix(string(line), `"`+name+`":[`)
			if !ok {
				continue
			}
			if i <= w.after {
				return errNotWritten // it is there twice
			}
			w.after = i
			if rows == "\n" {
				w.array = i
				return w.readHead()
			}
		}
	}
	return nil
}

// readHead reads what comes before the first row.
func (w *writtenReader) readHead() error {
	if w.head != nil {
		return nil
	}
	w.head = &document{}
	return json.Unmarshal(append(bytes.Clone(w.rest), "]}"...), w.head)
}

// arrayEnd is the end of a long array, from its last entry on. In a string the line break
// would be escaped.
const arrayEnd = "}],\n"

// cutRows cuts off rows, and reports whether they are the last of their array.
func (w *writtenReader) cutRows() (rows []byte, isLast bool) {
	end := bytes.Index(w.data, []byte(arrayEnd+`"`))
	if end < 0 && bytes.HasSuffix(w.data, []byte(arrayEnd)) {
		end = len(w.data) - len(arrayEnd)
	}
	if end < 0 {
		rows, w.data = w.data, nil
		return rows, false
	}
	rows, w.data = w.data[:end+len("}")], w.data[end+len("}"):]
	w.array = noArray
	return rows, true
}

// verify reports whether the document is whole.
func (w *writtenReader) verify() error {
	at := len(w.rest) - checksumSize
	if at < 0 {
		return errNotWritten
	}
	tail := w.rest[at:]
	digits := bytes.TrimSuffix(bytes.TrimPrefix(tail, []byte(checksumKey)), []byte(checksumEnd))
	sum, err := strconv.ParseUint(string(digits), 16, 32)
	if err != nil || !bytes.Equal(tail, appendChecksum(nil, uint32(sum))) || !utf8.Valid(w.rest) {
		return errNotWritten
	}
	// The sum of all that comes before the tail is the one that, with the tail, gives
	// w.sum.
	if crc32.Update(uint32(sum), castagnoli(), tail) != w.sum {
		return errNotWritten
	}
	return nil
}

// An entryBlock is the entries of some rows.
type entryBlock struct {
	array       int
	first, last string // paths
	list        []Entry
	passed      ancestors // of those that are not in list
}

// entries makes entries of rows: outputs, and inputs that are not passed over.
func (w *writtenReader) entries(b *rowBlock, pass passer) (entryBlock, error) {
	x := entryBlock{array: b.array}
	list := &x.list
	isGlance := pass != nil && b.array == inputsArray
	if isGlance {
		if again, ok := w.lists.Get().(*[]Entry); ok {
			list = again
		} else {
			list = new([]Entry)
		}
		defer w.lists.Put(list)
	}
	*list = slices.Grow((*list)[:0], strings.Count(b.rows, "\n")+1)
	p := parser{root: jsonstring.Join(w.head.Root, w.head.RootBase64)}
	var r rowReader
	var e Entry
	for rows := b.rows; rows != ""; {
		wire, rest, err := r.next(rows)
		if err != nil {
			return x, err
		}
		if p.entry(wire, &e); p.err != nil {
			return x, p.err
		}
		if x.last >= e.Path {
			return x, errNotWritten
		}
		if x.first == "" {
			x.first = e.Path
		}
		x.last = e.Path
		*list = append(*list, e)
		var isMore bool
		if rows, isMore = strings.CutPrefix(rest, ",\n"); !isMore && (rest != "" || !b.isLast) {
			return x, errNotWritten
		}
	}
	if isGlance {
		pass(*list, func(e *Entry, isSame bool) {
			if isSame {
				x.passed.add(e)
			} else {
				x.list = append(x.list, *e)
			}
		})
	}
	// Whatever points to the rows keeps all of them in memory.
	x.first, x.last = strings.Clone(x.first), strings.Clone(x.last)
	x.passed.clone()
	if isGlance && len(x.list) == 0 && b.buffer != nil {
		w.buffers.Put(&b.buffer)
	}
	return x, nil
}

// A passer reports for each entry of a list whether it is unchanged and can be skipped.
// It may be called for several lists at once, and must not keep what it is given.
type passer func(list []Entry, tell func(e *Entry, isSame bool))

// manifest decodes the document without the inputs that pass passes over, if it is not
// nil, and returns what may be above those. An error means that Encode did not write the
// document.
func (w *writtenReader) manifest(pass passer) (*Manifest, *ancestors, error) {
	var mu sync.Mutex
	var blocks []entryBlock
	err := w.each(func(b *rowBlock) error {
		x, err := w.entries(b, pass)
		mu.Lock()
		defer mu.Unlock()
		blocks = append(blocks, make([]entryBlock, max(0, b.number+1-len(blocks)))...)
		blocks[b.number] = x
		return err
	})
	if err != nil {
		return nil, nil, err
	}
	doc, err := w.document()
	if err != nil {
		return nil, nil, err
	}
	var lists [explainingArray][][]Entry
	var passed ancestors
	for i := range blocks {
		x := &blocks[i]
		if i > 0 && blocks[i-1].array == x.array && blocks[i-1].last >= x.first {
			return nil, nil, errNotWritten
		}
		lists[x.array] = append(lists[x.array], x.list)
		passed.parents = append(passed.parents, x.passed.parents...)
		passed.entries = append(passed.entries, x.passed.entries...)
	}
	m, err := doc.manifest(&entryLists{slices.Concat(lists[inputsArray]...), slices.Concat(lists[outputsArray]...)})
	return m, &passed, err
}

// document returns the document without its entries, once they have all been read.
func (w *writtenReader) document() (*document, error) {
	d := &document{}
	if err := d.unmarshal(w.rest, w.comparedOnly); err != nil {
		return nil, err
	}
	isOtherRoot := w.head != nil && (d.Root != w.head.Root || !bytes.Equal(d.RootBase64, w.head.RootBase64))
	if d.Fstrace == nil || *d.Fstrace != Version || d.Inputs == nil || d.Outputs == nil || len(*d.Inputs)+len(*d.Outputs) > 0 || isOtherRoot {
		return nil, errNotWritten
	}
	return d, nil
}
