package remote

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/fstrace/fstrace/cache"
	"github.com/klauspost/compress/zstd"
	"google.golang.org/genproto/googleapis/bytestream"
	spb "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
)

// A fakeServer is a server of the Remote Execution API that can be told to fail.
type fakeServer struct {
	repb.UnimplementedActionCacheServer
	repb.UnimplementedContentAddressableStorageServer
	repb.UnimplementedCapabilitiesServer
	bytestream.UnimplementedByteStreamServer

	mu      sync.Mutex
	blobs   map[cache.Digest][]byte
	results map[string]*repb.ActionResult
	calls   map[string]int // by method
	header  metadata.MD    // of the last call

	// How it fails. failures is how often a call of any method answers Unavailable.
	failures  int
	readOnly  bool
	noZstd    bool
	mostBatch int64
	delay     time.Duration
	corrupt   bool // it returns other content
}

func startFake(t *testing.T) (s *fakeServer, address string) {
	t.Helper()
	s = &fakeServer{blobs: map[cache.Digest][]byte{}, results: map[string]*repb.ActionResult{}, calls: map[string]int{}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(s.unary), grpc.StreamInterceptor(s.stream))
	repb.RegisterActionCacheServer(server, s)
	repb.RegisterContentAddressableStorageServer(server, s)
	repb.RegisterCapabilitiesServer(server, s)
	bytestream.RegisterByteStreamServer(server, s)
	done := make(chan error)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return s, "grpc://" + l.Addr().String()
}

func (s *fakeServer) unary(ctx context.Context, q any, info *grpc.UnaryServerInfo, handler grpc.UnaryHandler) (any, error) {
	if err := s.begin(ctx, info.FullMethod); err != nil {
		return nil, err
	}
	return handler(ctx, q)
}

func (s *fakeServer) stream(srv any, stream grpc.ServerStream, info *grpc.StreamServerInfo, handler grpc.StreamHandler) error {
	if err := s.begin(stream.Context(), info.FullMethod); err != nil {
		return err
	}
	return handler(srv, stream)
}

func (s *fakeServer) begin(ctx context.Context, method string) error {
	s.mu.Lock()
	s.calls[method[strings.LastIndexByte(method, '/')+1:]]++
	s.header, _ = metadata.FromIncomingContext(ctx)
	delay := s.delay
	failing := s.failures > 0
	if failing {
		s.failures--
	}
	s.mu.Unlock()
	if failing {
		return status.Error(codes.Unavailable, "busy")
	}
	select {
	case <-time.After(delay):
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (s *fakeServer) GetCapabilities(context.Context, *repb.GetCapabilitiesRequest) (*repb.ServerCapabilities, error) {
	c := &repb.CacheCapabilities{
		DigestFunctions:               []repb.DigestFunction_Value{repb.DigestFunction_SHA256},
		ActionCacheUpdateCapabilities: &repb.ActionCacheUpdateCapabilities{UpdateEnabled: !s.readOnly},
		MaxBatchTotalSizeBytes:        s.mostBatch,
	}
	if !s.noZstd {
		c.SupportedCompressors = []repb.Compressor_Value{repb.Compressor_ZSTD}
	}
	return &repb.ServerCapabilities{CacheCapabilities: c}, nil
}

func (s *fakeServer) GetActionResult(_ context.Context, q *repb.GetActionResultRequest) (*repb.ActionResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if r := s.results[q.InstanceName+"/"+q.ActionDigest.Hash]; r != nil {
		return r, nil
	}
	return nil, status.Error(codes.NotFound, "no such action")
}

func (s *fakeServer) UpdateActionResult(_ context.Context, q *repb.UpdateActionResultRequest) (*repb.ActionResult, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.results[q.InstanceName+"/"+q.ActionDigest.Hash] = q.ActionResult
	return q.ActionResult, nil
}

func digestOf(m *repb.Digest) cache.Digest { return cache.Digest{Hash: m.Hash, Size: m.SizeBytes} }

func (s *fakeServer) FindMissingBlobs(_ context.Context, q *repb.FindMissingBlobsRequest) (*repb.FindMissingBlobsResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := &repb.FindMissingBlobsResponse{}
	for _, d := range q.BlobDigests {
		if _, ok := s.blobs[digestOf(d)]; !ok {
			r.MissingBlobDigests = append(r.MissingBlobDigests, d)
		}
	}
	return r, nil
}

// put stores a blob as a server does: it checks the digest.
func (s *fakeServer) put(d cache.Digest, content []byte) error {
	if cache.DigestOf(content) != d {
		return status.Error(codes.InvalidArgument, "another digest")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.blobs[d] = content
	return nil
}

func (s *fakeServer) get(d cache.Digest) ([]byte, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	b, ok := s.blobs[d]
	if ok && s.corrupt && len(b) > 0 {
		b = slices.Clone(b)
		b[0] ^= 1
	}
	return b, ok
}

func (s *fakeServer) BatchUpdateBlobs(_ context.Context, q *repb.BatchUpdateBlobsRequest) (*repb.BatchUpdateBlobsResponse, error) {
	r, size := &repb.BatchUpdateBlobsResponse{}, int64(0)
	for _, one := range q.Requests {
		size += int64(len(one.Data))
		r.Responses = append(r.Responses, &repb.BatchUpdateBlobsResponse_Response{
			Digest: one.Digest, Status: status.Convert(s.put(digestOf(one.Digest), one.Data)).Proto(),
		})
	}
	if s.mostBatch > 0 && size > s.mostBatch {
		return nil, status.Error(codes.InvalidArgument, "the batch is too large")
	}
	return r, nil
}

func (s *fakeServer) BatchReadBlobs(_ context.Context, q *repb.BatchReadBlobsRequest) (*repb.BatchReadBlobsResponse, error) {
	r := &repb.BatchReadBlobsResponse{}
	for _, d := range q.Digests {
		one := &repb.BatchReadBlobsResponse_Response{Digest: d, Status: &spb.Status{}}
		var ok bool
		if one.Data, ok = s.get(digestOf(d)); !ok {
			one.Status.Code = int32(codes.NotFound)
		}
		r.Responses = append(r.Responses, one)
	}
	return r, nil
}

// parseResource returns the digest of a resource name, and whether it is compressed.
func parseResource(name string) (d cache.Digest, compressed bool, err error) {
	parts := strings.Split(name, "/")
	if len(parts) < 3 {
		return d, false, status.Error(codes.InvalidArgument, name)
	}
	size, err := strconv.ParseInt(parts[len(parts)-1], 10, 64)
	return cache.Digest{Hash: parts[len(parts)-2], Size: size}, slices.Contains(parts, "compressed-blobs"), err
}

func (s *fakeServer) Read(q *bytestream.ReadRequest, stream bytestream.ByteStream_ReadServer) error {
	d, compressed, err := parseResource(q.ResourceName)
	if err != nil {
		return err
	}
	content, ok := s.get(d)
	if !ok {
		return status.Error(codes.NotFound, "no such blob")
	}
	if compressed {
		var b bytes.Buffer
		w, err := zstd.NewWriter(&b)
		if err == nil {
			_, err = w.Write(content)
		}
		if err = errors.Join(err, w.Close()); err != nil {
			return err
		}
		content = b.Bytes()
	}
	for part := range slices.Chunk(content, 10000) {
		if err := stream.Send(&bytestream.ReadResponse{Data: part}); err != nil {
			return err
		}
	}
	return nil
}

func (s *fakeServer) Write(stream bytestream.ByteStream_WriteServer) error {
	var content []byte
	var name string
	for {
		q, err := stream.Recv()
		if err != nil {
			return err
		}
		if name == "" {
			name = q.ResourceName
		}
		if q.WriteOffset != int64(len(content)) {
			return status.Errorf(codes.InvalidArgument, "offset %d, not %d", q.WriteOffset, len(content))
		}
		if content = append(content, q.Data...); q.FinishWrite {
			break
		}
	}
	d, compressed, err := parseResource(name)
	if err != nil {
		return err
	}
	n := int64(len(content))
	if compressed {
		r, err := zstd.NewReader(bytes.NewReader(content))
		if err != nil {
			return err
		}
		defer r.Close()
		if content, err = io.ReadAll(r); err != nil {
			return err
		}
	}
	if err := s.put(d, content); err != nil {
		return err
	}
	return stream.SendAndClose(&bytestream.WriteResponse{CommittedSize: n})
}

// count returns how often methods were called.
func (s *fakeServer) count() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(s.calls)) {
		list = append(list, fmt.Sprint(name, " ", s.calls[name]))
	}
	return strings.Join(list, ", ")
}
