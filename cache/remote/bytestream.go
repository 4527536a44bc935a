package remote

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/fstrace/fstrace/cache"
	"github.com/google/uuid"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/bytestream"
)

// chunkSize is the size in bytes of what one message has.
const chunkSize = 64 << 10

// resource returns the name of a blob: INSTANCE/[uploads/UUID/]blobs/HASH/SIZE, or
// compressed-blobs/zstd/HASH/SIZE. The size is that without compression.
func (s *grpcStore) resource(d cache.Digest, upload, compressed bool) string {
	name := ""
	if s.o.Instance != "" {
		name = s.o.Instance + "/"
	}
	if upload {
		name += "uploads/" + uuid.NewString() + "/"
	}
	if compressed {
		return name + "compressed-blobs/zstd/" + d.String()
	}
	return name + "blobs/" + d.String()
}

// read reads one blob. It is read again from its beginning if that may help.
func (s *grpcStore) read(ctx context.Context, d cache.Digest, compressed bool, put func(cache.Digest, io.Reader) error) error {
	return s.call(ctx, d.Size, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := s.bytes.Read(ctx, &bytestream.ReadRequest{ResourceName: s.resource(d, false, compressed)})
		if err != nil {
			return err
		}
		var r io.Reader = &streamReader{stream: stream}
		if compressed {
			// The window is bounded: what the server sends is not trusted.
			unpacked, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(64<<20))
			if err != nil {
				return permanent{err}
			}
			defer unpacked.Close()
			r = unpacked
		}
		return put(d, r)
	})
}

// A streamReader reads what the messages of a stream have.
type streamReader struct {
	stream bytestream.ByteStream_ReadClient
	rest   []byte
}

func (r *streamReader) Read(b []byte) (int, error) {
	for len(r.rest) == 0 {
		m, err := r.stream.Recv()
		if err != nil {
			return 0, err // io.EOF at the end
		}
		r.rest = m.GetData()
	}
	n := copy(b, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// write stores one blob.
func (s *grpcStore) write(ctx context.Context, b cache.Blob, compressed bool) error {
	return s.call(ctx, b.Size, func(ctx context.Context) error {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		content, err := b.Open()
		if err != nil {
			return permanent{err}
		}
		defer content.Close()
		stream, err := s.bytes.Write(ctx)
		if err != nil {
			return err
		}
		w := &streamWriter{stream: stream, name: s.resource(b.Digest, true, compressed)}
		if err := w.copy(content, compressed); err != nil && !errors.Is(err, io.EOF) {
			return err
		}
		// An io.EOF means that the server has ended the call: it has the blob already, or
		// says why not.
		r, err := stream.CloseAndRecv()
		if err != nil {
			return err
		}
		if n := r.GetCommittedSize(); n != w.sent && n != b.Size && n != -1 {
			return fmt.Errorf("blob %s: the server has %d bytes of %d", b.Digest, n, w.sent)
		}
		return nil
	})
}

// A streamWriter sends what is written to it.
type streamWriter struct {
	stream bytestream.ByteStream_WriteClient
	name   string
	sent   int64
}

func (w *streamWriter) Write(b []byte) (int, error) { return len(b), w.send(b, false) }

func (w *streamWriter) send(b []byte, isLast bool) error {
	q := &bytestream.WriteRequest{WriteOffset: w.sent, Data: b, FinishWrite: isLast}
	if w.sent == 0 {
		q.ResourceName = w.name
	}
	w.sent += int64(len(b))
	return w.stream.Send(q)
}

// copy sends everything, and an empty message as the last one.
func (w *streamWriter) copy(content io.Reader, compressed bool) error {
	chunks := bufio.NewWriterSize(w, chunkSize)
	var to io.Writer = chunks
	var packed *zstd.Encoder
	if compressed {
		var err error
		if packed, err = zstd.NewWriter(chunks, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest)); err != nil {
			return err
		}
		to = packed
	}
	if _, err := io.Copy(struct{ io.Writer }{to}, content); err != nil {
		return err
	}
	if packed != nil {
		if err := packed.Close(); err != nil {
			return err
		}
	}
	if err := chunks.Flush(); err != nil {
		return err
	}
	return w.send(nil, true)
}
