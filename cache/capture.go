package cache

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"
)

// A stream is one of the outputs of a command.
type stream int

const (
	stdout stream = 1
	stderr stream = 2
)

// A chunk is some bytes of one stream. Chunks are in the order in which they were
// written.
type chunk struct {
	Stream stream
	Size   int64
}

func (c chunk) MarshalJSON() ([]byte, error) { return json.Marshal([2]int64{int64(c.Stream), c.Size}) }

func (c *chunk) UnmarshalJSON(b []byte) error {
	var pair [2]int64
	if err := json.Unmarshal(b, &pair); err != nil {
		return err
	}
	*c = chunk{stream(pair[0]), pair[1]}
	if c.Stream != stdout && c.Stream != stderr || c.Size <= 0 {
		return fmt.Errorf("output chunk %s: no such stream, or no size", b)
	}
	return nil
}

// A capture keeps what a command writes, and passes it on. Its writers may be used
// concurrently.
type capture struct {
	mu     sync.Mutex
	spools [stderr + 1]spool
	log    []chunk
	err    error // the spools do not have everything
}

// A spool is what was written to one stream, in a file without a name.
type spool struct {
	*os.File
	sum  hash.Hash
	size int64
}

// newCapture makes a capture with files in dir.
func newCapture(dir string) (*capture, error) {
	c := &capture{}
	for _, s := range [...]stream{stdout, stderr} {
		f, err := os.CreateTemp(dir, "output-*")
		if err == nil {
			err = os.Remove(f.Name())
		}
		if err != nil {
			c.close()
			return nil, fmt.Errorf("keep the output: %w", err)
		}
		c.spools[s] = spool{File: f, sum: sha256.New()}
	}
	return c, nil
}

func (c *capture) close() {
	for i := range c.spools {
		if c.spools[i].File != nil {
			_ = c.spools[i].Close()
		}
	}
}

// writer returns a writer of a stream that passes everything on to another.
func (c *capture) writer(s stream, to io.Writer) io.Writer { return &captured{c, s, to} }

type captured struct {
	*capture
	stream stream
	to     io.Writer
}

func (c *captured) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, err := c.to.Write(b)
	c.keep(c.stream, b[:n])
	return n, err
}

func (c *capture) keep(s stream, b []byte) {
	if len(b) == 0 || c.err != nil {
		return
	}
	to := &c.spools[s]
	if _, c.err = to.Write(b); c.err != nil {
		return
	}
	to.sum.Write(b)
	to.size += int64(len(b))
	if last := len(c.log) - 1; last >= 0 && c.log[last].Stream == s {
		c.log[last].Size += int64(len(b))
		return
	}
	c.log = append(c.log, chunk{s, int64(len(b))})
}

// blob returns what was written to a stream.
func (c *capture) blob(s stream) Blob {
	from := &c.spools[s]
	return Blob{
		Digest{hex.EncodeToString(from.sum.Sum(nil)), from.size},
		func() (io.ReadCloser, error) { return io.NopCloser(io.NewSectionReader(from, 0, from.size)), nil },
	}
}

// replay writes the streams to their writers, in the order of a log.
func replay(log []chunk, from map[stream]io.Reader, to map[stream]io.Writer) error {
	for _, c := range log {
		if _, err := io.CopyN(to[c.Stream], from[c.Stream], c.Size); err != nil {
			return err
		}
	}
	return nil
}
