package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/fstrace/fstrace/cache"
	"google.golang.org/genproto/googleapis/bytestream"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/credentials"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// grpcStore is a server of the Remote Execution API, version 2: ActionCache,
// ContentAddressableStorage and ByteStream.
type grpcStore struct {
	o       Options
	conn    *grpc.ClientConn
	actions repb.ActionCacheClient
	blobs   repb.ContentAddressableStorageClient
	bytes   bytestream.ByteStreamClient

	once     sync.Once
	abler    abilities
	ablerErr error
}

// abilities are what a server says that it can do.
type abilities struct {
	mayUpdate bool
	zstd      bool
	mostBatch int64 // size of the blobs of one batch in bytes
}

// Sizes in bytes.
const (
	// mostBatch keeps a batch well below the limit of gRPC's messages, 4 MiB.
	mostBatch = 2 << 20
	// mostSmall is the size of a blob above which it is transferred by itself.
	mostSmall = 256 << 10
)

// mostDigests is how many digests are asked for at once.
const mostDigests = 10000

func newGRPC(host string, security *tls.Config, o Options) (*grpcStore, error) {
	secure := insecure.NewCredentials()
	if security != nil {
		secure = credentials.NewTLS(security)
	}
	conn, err := grpc.NewClient(host, grpc.WithTransportCredentials(secure), grpc.WithUserAgent("fstrace-cache"))
	if err != nil {
		return nil, fmt.Errorf("remote store %s: %w", host, err)
	}
	return &grpcStore{
		o: o, conn: conn, actions: repb.NewActionCacheClient(conn),
		blobs: repb.NewContentAddressableStorageClient(conn), bytes: bytestream.NewByteStreamClient(conn),
	}, nil
}

// Close implements [Store].
func (s *grpcStore) Close() error { return s.conn.Close() }

// call makes a call that transfers so many bytes, again if that may help.
func (s *grpcStore) call(ctx context.Context, size int64, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.allowance(size))
	defer cancel()
	for name, values := range s.o.Header {
		for _, value := range values {
			ctx = metadata.AppendToOutgoingContext(ctx, strings.ToLower(name), value)
		}
	}
	return retry(ctx, func() error {
		err := do(ctx)
		switch status.Code(err) {
		case codes.OK:
			return err // nil, or no error of a server
		case codes.Unavailable, codes.ResourceExhausted, codes.Aborted, codes.Internal:
			return err
		case codes.NotFound:
			return permanent{fmt.Errorf("%w: %s", cache.ErrNotFound, status.Convert(err).Message())}
		}
		return permanent{err}
	})
}

// can asks the server what it can do, once.
func (s *grpcStore) can(ctx context.Context) (abilities, error) {
	s.once.Do(func() {
		var r *repb.ServerCapabilities
		s.ablerErr = s.call(ctx, 0, func(ctx context.Context) (err error) {
			r, err = repb.NewCapabilitiesClient(s.conn).GetCapabilities(ctx, &repb.GetCapabilitiesRequest{InstanceName: s.o.Instance})
			return err
		})
		if s.ablerErr != nil {
			return
		}
		c := r.GetCacheCapabilities()
		if functions := c.GetDigestFunctions(); !slices.Contains(functions, repb.DigestFunction_SHA256) {
			s.ablerErr = fmt.Errorf("the server does not store blobs by SHA-256, but by %v", functions)
			return
		}
		s.abler = abilities{
			mayUpdate: c.GetActionCacheUpdateCapabilities().GetUpdateEnabled(),
			zstd:      slices.Contains(c.GetSupportedCompressors(), repb.Compressor_ZSTD),
			mostBatch: mostBatch,
		}
		if most := c.GetMaxBatchTotalSizeBytes(); most > 0 {
			s.abler.mostBatch = min(mostBatch, most)
		}
	})
	return s.abler, s.ablerErr
}

// Result implements [cache.Store].
func (s *grpcStore) Result(ctx context.Context, action cache.Digest) (r *repb.ActionResult, err error) {
	err = s.call(ctx, 0, func(ctx context.Context) (err error) {
		r, err = s.actions.GetActionResult(ctx, &repb.GetActionResultRequest{
			InstanceName: s.o.Instance, ActionDigest: message(action), DigestFunction: repb.DigestFunction_SHA256,
		})
		return err
	})
	return r, err
}

// PutResult implements [cache.Store].
func (s *grpcStore) PutResult(ctx context.Context, action cache.Digest, r *repb.ActionResult) error {
	a, err := s.can(ctx)
	if err != nil {
		return err
	}
	if !a.mayUpdate {
		return errReadOnly
	}
	return s.call(ctx, 0, func(ctx context.Context) error {
		_, err := s.actions.UpdateActionResult(ctx, &repb.UpdateActionResultRequest{
			InstanceName: s.o.Instance, ActionDigest: message(action), ActionResult: r, DigestFunction: repb.DigestFunction_SHA256,
		})
		return err
	})
}

// errReadOnly means that the server lets this client only read.
var errReadOnly = fmt.Errorf("the server does not accept results of this client: use --no-upload")

// Missing implements [cache.Store].
func (s *grpcStore) Missing(ctx context.Context, list []cache.Digest) (missing []cache.Digest, err error) {
	for part := range slices.Chunk(list, mostDigests) {
		q := &repb.FindMissingBlobsRequest{InstanceName: s.o.Instance, DigestFunction: repb.DigestFunction_SHA256}
		for _, d := range part {
			q.BlobDigests = append(q.BlobDigests, message(d))
		}
		var r *repb.FindMissingBlobsResponse
		err := s.call(ctx, 0, func(ctx context.Context) (err error) {
			r, err = s.blobs.FindMissingBlobs(ctx, q)
			return err
		})
		if err != nil {
			return nil, err
		}
		for _, d := range r.GetMissingBlobDigests() {
			missing = append(missing, cache.Digest{Hash: d.GetHash(), Size: d.GetSizeBytes()})
		}
	}
	return known(missing, list), nil
}

// known returns the digests of a list that are in another one: a server may answer
// anything.
func known(list, all []cache.Digest) []cache.Digest {
	in := make(map[cache.Digest]bool, len(all))
	for _, d := range all {
		in[d] = true
	}
	return slices.DeleteFunc(list, func(d cache.Digest) bool { return !in[d] })
}

// batches divides what is small into batches, and returns the rest.
func batches[T any](list []T, digest func(T) cache.Digest, most int64) (batches [][]T, rest []T) {
	var batch []T
	size := int64(0)
	for _, x := range list {
		// A message has the digest and some fields beside each blob.
		n := digest(x).Size + 256
		if digest(x).Size > mostSmall || n > most {
			rest = append(rest, x)
			continue
		}
		if size+n > most {
			batches, batch, size = append(batches, batch), nil, 0
		}
		batch, size = append(batch, x), size+n
	}
	if len(batch) > 0 {
		batches = append(batches, batch)
	}
	return batches, rest
}

// Blobs implements [cache.Store].
func (s *grpcStore) Blobs(ctx context.Context, list []cache.Digest, put func(cache.Digest, io.Reader) error) error {
	a, err := s.can(ctx)
	if err != nil {
		return err
	}
	small, large := batches(list, func(d cache.Digest) cache.Digest { return d }, a.mostBatch)
	return inParallel(ctx, len(small)+len(large), func(ctx context.Context, i int) error {
		if i < len(small) {
			return s.readBatch(ctx, small[i], put)
		}
		return s.read(ctx, large[i-len(small)], a.zstd, put)
	})
}

func (s *grpcStore) readBatch(ctx context.Context, list []cache.Digest, put func(cache.Digest, io.Reader) error) error {
	q := &repb.BatchReadBlobsRequest{InstanceName: s.o.Instance, DigestFunction: repb.DigestFunction_SHA256}
	for _, d := range list {
		q.Digests = append(q.Digests, message(d))
	}
	var r *repb.BatchReadBlobsResponse
	err := s.call(ctx, mostBatch, func(ctx context.Context) (err error) {
		r, err = s.blobs.BatchReadBlobs(ctx, q)
		return err
	})
	if err != nil {
		return err
	}
	found := make(map[cache.Digest]bool, len(list))
	for _, one := range r.GetResponses() {
		d := cache.Digest{Hash: one.GetDigest().GetHash(), Size: one.GetDigest().GetSizeBytes()}
		switch code := codes.Code(one.GetStatus().GetCode()); {
		case !slices.Contains(list, d) || code == codes.NotFound:
			continue
		case code != codes.OK:
			return fmt.Errorf("blob %s: %s", d, one.GetStatus().GetMessage())
		}
		if err := put(d, bytes.NewReader(one.GetData())); err != nil {
			return err
		}
		found[d] = true
	}
	for _, d := range list {
		if !found[d] {
			return fmt.Errorf("blob %s: %w", d, cache.ErrNotFound)
		}
	}
	return nil
}

// PutBlobs implements [cache.Store].
func (s *grpcStore) PutBlobs(ctx context.Context, list []cache.Blob) error {
	a, err := s.can(ctx)
	if err != nil {
		return err
	}
	small, large := batches(list, func(b cache.Blob) cache.Digest { return b.Digest }, a.mostBatch)
	return inParallel(ctx, len(small)+len(large), func(ctx context.Context, i int) error {
		if i < len(small) {
			return s.writeBatch(ctx, small[i])
		}
		return s.write(ctx, large[i-len(small)], a.zstd)
	})
}

func (s *grpcStore) writeBatch(ctx context.Context, list []cache.Blob) error {
	q := &repb.BatchUpdateBlobsRequest{InstanceName: s.o.Instance, DigestFunction: repb.DigestFunction_SHA256}
	for _, b := range list {
		content, err := readAll(b)
		if err != nil {
			return err
		}
		q.Requests = append(q.Requests, &repb.BatchUpdateBlobsRequest_Request{Digest: message(b.Digest), Data: content})
	}
	return s.call(ctx, mostBatch, func(ctx context.Context) error {
		r, err := s.blobs.BatchUpdateBlobs(ctx, q)
		if err != nil {
			return err
		}
		for _, one := range r.GetResponses() {
			if code := codes.Code(one.GetStatus().GetCode()); code != codes.OK {
				return status.Error(code, one.GetStatus().GetMessage())
			}
		}
		return nil
	})
}

func readAll(b cache.Blob) ([]byte, error) {
	r, err := b.Open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(io.LimitReader(r, b.Size))
}

func message(d cache.Digest) *repb.Digest { return &repb.Digest{Hash: d.Hash, SizeBytes: d.Size} }
