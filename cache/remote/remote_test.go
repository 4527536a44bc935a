package remote

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/fstrace/fstrace/cache"
	"google.golang.org/protobuf/proto"
)

// open opens a store that is closed after the test.
func open(t *testing.T, address string, o Options) Store {
	t.Helper()
	s, err := Open(address, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

func blobOf(content []byte) cache.Blob {
	return cache.Blob{Digest: cache.DigestOf(content), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// someBlobs are blobs of all sizes that are transferred differently.
func someBlobs() (list []cache.Blob) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for i, size := range []int{0, 1, 100, 5000, mostSmall, mostSmall + 1, 3 << 20} {
		content := make([]byte, size)
		for j := range content {
			if content[j] = byte(i); j%7 == 0 { // half of it can be compressed
				content[j] = byte(rnd.Uint32())
			}
		}
		list = append(list, blobOf(content))
	}
	for i := range 3000 {
		list = append(list, blobOf([]byte{byte(i), byte(i >> 8), 'x'}))
	}
	return list
}

func digests(list []cache.Blob) (all []cache.Digest) {
	for _, b := range list {
		all = append(all, b.Digest)
	}
	return all
}

// roundTrip stores blobs and a result and reads them back.
func roundTrip(t *testing.T, s Store) {
	t.Helper()
	ctx := context.Background()
	blobs := someBlobs()
	all := digests(blobs)
	if missing, err := s.Missing(ctx, all); err != nil || len(missing) != len(all) {
		t.Fatalf("%d of %d missing, %v", len(missing), len(all), err)
	}
	if err := s.PutBlobs(ctx, blobs); err != nil {
		t.Fatal(err)
	}
	absent := cache.DigestOf([]byte("absent"))
	if missing, err := s.Missing(ctx, append(slices.Clone(all), absent)); err != nil || !slices.Equal(missing, []cache.Digest{absent}) {
		t.Fatalf("missing %v, %v", missing, err)
	}
	var mu sync.Mutex
	got := map[cache.Digest]bool{}
	err := s.Blobs(ctx, all, func(d cache.Digest, r io.Reader) error {
		b, err := io.ReadAll(r)
		mu.Lock()
		defer mu.Unlock()
		got[d] = err == nil && cache.DigestOf(b) == d
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		if !got[d] {
			t.Errorf("blob %s was not read, or is wrong", d)
		}
	}
	err = s.Blobs(ctx, []cache.Digest{absent}, func(cache.Digest, io.Reader) error { return errors.New("put was called") })
	if !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("an absent blob: %v", err)
	}
	action := cache.DigestOf([]byte("action"))
	if _, err := s.Result(ctx, action); !errors.Is(err, cache.ErrNotFound) {
		t.Errorf("an absent result: %v", err)
	}
	want := &repb.ActionResult{ExitCode: 3, StdoutRaw: []byte("x")}
	if err := s.PutResult(ctx, action, want); err != nil {
		t.Fatal(err)
	}
	if r, err := s.Result(ctx, action); err != nil || !proto.Equal(r, want) {
		t.Errorf("%v, %v", r, err)
	}
}

func TestGRPC(t *testing.T) {
	for name, set := range map[string]func(*fakeServer){
		"plain":           func(*fakeServer) {},
		"no compression":  func(s *fakeServer) { s.noZstd = true },
		"small batches":   func(s *fakeServer) { s.mostBatch = 2000 },
		"fails sometimes": func(s *fakeServer) { s.failures = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			s, address := startFake(t)
			set(s)
			roundTrip(t, open(t, address, Options{Instance: "some/instance"}))
			t.Log(s.count())
		})
	}
}

// fakeHTTP is a server of the HTTP protocol.
func fakeHTTP(t *testing.T) (*httptest.Server, http.Header) {
	t.Helper()
	var mu sync.Mutex
	files, last := map[string][]byte{}, http.Header{}
	failures := 2
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		for name, values := range q.Header {
			last[name] = values
		}
		if failures > 0 {
			failures--
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		content, ok := files[q.URL.Path]
		switch {
		case q.Method == http.MethodPut:
			b, err := io.ReadAll(q.Body)
			if err != nil {
				t.Error(err)
			}
			files[q.URL.Path] = b
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case q.Method == http.MethodGet:
			_, _ = w.Write(content)
		}
	}))
	t.Cleanup(server.Close)
	return server, last
}

func TestHTTP(t *testing.T) {
	server, _ := fakeHTTP(t)
	roundTrip(t, open(t, server.URL+"/some/where/", Options{}))
}

// TestHeaders: what the options say is sent, and the password of a URL.
func TestHeaders(t *testing.T) {
	const basic = "Basic bWU6c2VjcmV0"
	ctx, action := context.Background(), cache.DigestOf(nil)
	o := Options{Header: http.Header{"X-Token": {"abc"}}}
	server, last := fakeHTTP(t)
	_, _ = open(t, strings.Replace(server.URL, "://", "://me:secret@", 1), o).Result(ctx, action)
	if last.Get("X-Token") != "abc" || last.Get("Authorization") != basic {
		t.Errorf("HTTP: %v", last)
	}
	s, address := startFake(t)
	_, _ = open(t, strings.Replace(address, "://", "://me:secret@", 1), o).Result(ctx, action)
	s.mu.Lock()
	defer s.mu.Unlock()
	if !slices.Equal(s.header["x-token"], []string{"abc"}) || !slices.Equal(s.header["authorization"], []string{basic}) {
		t.Errorf("gRPC: %v", s.header)
	}
}

// TestTroubled: what is wrong with a server is an error after a bounded time.
func TestTroubled(t *testing.T) {
	ctx := context.Background()
	blobs := []cache.Blob{blobOf([]byte("content"))}
	for _, c := range []struct {
		name string
		set  func(*fakeServer)
		do   func(Store) error
		want error
	}{
		{"slow", func(s *fakeServer) { s.delay = time.Hour }, func(s Store) error {
			_, err := s.Result(ctx, blobs[0].Digest)
			return err
		}, nil},
		{"busy", func(s *fakeServer) { s.failures = 1000 }, func(s Store) error {
			_, err := s.Missing(ctx, digests(blobs))
			return err
		}, nil},
		{"read only", func(s *fakeServer) { s.readOnly = true }, func(s Store) error {
			return s.PutResult(ctx, blobs[0].Digest, &repb.ActionResult{})
		}, errReadOnly},
		{"forgetful", func(s *fakeServer) { s.blobs = map[cache.Digest][]byte{} }, func(s Store) error {
			return s.Blobs(ctx, digests(blobs), func(cache.Digest, io.Reader) error { return nil })
		}, cache.ErrNotFound},
	} {
		t.Run(c.name, func(t *testing.T) {
			fake, address := startFake(t)
			c.set(fake)
			err := c.do(open(t, address, Options{Timeout: 300 * time.Millisecond}))
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Errorf("%v, want %v", err, c.want)
			}
		})
	}
	t.Run("absent", func(t *testing.T) {
		for _, address := range []string{"grpc://127.0.0.1:1", "http://127.0.0.1:1"} {
			if _, err := open(t, address, Options{}).Missing(ctx, digests(blobs)); err == nil || errors.Is(err, cache.ErrNotFound) {
				t.Errorf("%s: %v", address, err)
			}
		}
	})
}

// TestAddress: a wrong address is an error, which does not have the password.
func TestAddress(t *testing.T) {
	for _, address := range []string{"", "localhost", "ftp://me:secret@host/", "grpc://", "http://me:secret@host:port/", "grpc://me:secret@%zz"} {
		_, err := Open(address, Options{})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v", address, err)
		}
	}
	if _, err := Open("https://host", Options{RootCAs: "/nowhere"}); err == nil {
		t.Error("no error for a file that does not exist")
	}
}
