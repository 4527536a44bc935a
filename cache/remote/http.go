package remote

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	repb "github.com/bazelbuild/remote-apis/build/bazel/remote/execution/v2"
	"github.com/fstrace/fstrace/cache"
	"google.golang.org/protobuf/proto"
)

// httpStore is a server of the HTTP protocol: GET, HEAD and PUT of /ac/HASH and
// /cas/HASH. The protocol has neither instances nor compression.
type httpStore struct {
	base   *url.URL
	client *http.Client
	o      Options
}

func newHTTP(base *url.URL, security *tls.Config, o Options) *httpStore {
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, TLSClientConfig: security, ForceAttemptHTTP2: true,
		MaxIdleConnsPerHost: concurrent, ResponseHeaderTimeout: o.timeout(), DisableCompression: true,
	}
	// A cache that redirects to another host would get the credentials of this one.
	noRedirect := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &httpStore{base, &http.Client{Transport: transport, CheckRedirect: noRedirect}, o}
}

// mostResult is the size of a result in bytes above which it is refused.
const mostResult = 64 << 20

// do makes one request, again if that may help. The caller closes the body.
func (s *httpStore) do(ctx context.Context, method, kind string, d cache.Digest, body func() (io.Reader, error)) (*http.Response, error) {
	var res *http.Response
	err := retry(ctx, func() error {
		u := *s.base
		u.Path += "/" + kind + "/" + d.Hash
		var content io.Reader
		if body != nil {
			var err error
			if content, err = body(); err != nil {
				return permanent{err}
			}
		}
		req, err := http.NewRequestWithContext(ctx, method, u.String(), content)
		if err != nil {
			return permanent{err}
		}
		for name, values := range s.o.Header {
			req.Header[name] = values
		}
		if content != nil {
			req.ContentLength = d.Size
		}
		if res, err = s.client.Do(req); err != nil {
			return err
		}
		switch {
		case res.StatusCode == http.StatusNotFound:
			err = permanent{fmt.Errorf("%s %s: %w", kind, d.Hash, cache.ErrNotFound)}
		case res.StatusCode >= 300:
			err = fmt.Errorf("%s %s: the server answers %s", method, u.Redacted(), res.Status)
			if res.StatusCode < 500 && res.StatusCode != http.StatusTooManyRequests {
				err = permanent{err}
			}
		}
		if err != nil {
			_ = res.Body.Close()
		}
		return err
	})
	return res, err
}

func (s *httpStore) Result(ctx context.Context, action cache.Digest) (*repb.ActionResult, error) {
	ctx, cancel := context.WithTimeout(ctx, s.o.allowance(mostResult))
	defer cancel()
	res, err := s.do(ctx, http.MethodGet, "ac", action, nil)
	if err != nil {
		return nil, err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(io.LimitReader(res.Body, mostResult))
	if err != nil {
		return nil, err
	}
	r := &repb.ActionResult{}
	if err := proto.Unmarshal(b, r); err != nil {
		return nil, fmt.Errorf("result %s: not an ActionResult: %w", action.Hash, cache.ErrNotFound)
	}
	return r, nil
}

func (s *httpStore) PutResult(ctx context.Context, action cache.Digest, r *repb.ActionResult) error {
	b, err := proto.Marshal(r)
	if err != nil {
		return err
	}
	return s.put(ctx, "ac", cache.Digest{Hash: action.Hash, Size: int64(len(b))}, func() (io.Reader, error) { return bytes.NewReader(b), nil })
}

func (s *httpStore) put(ctx context.Context, kind string, d cache.Digest, body func() (io.Reader, error)) error {
	ctx, cancel := context.WithTimeout(ctx, s.o.allowance(d.Size))
	defer cancel()
	res, err := s.do(ctx, http.MethodPut, kind, d, body)
	if err != nil {
		return err
	}
	return res.Body.Close()
}

func (s *httpStore) Missing(ctx context.Context, list []cache.Digest) ([]cache.Digest, error) {
	isMissing := make([]bool, len(list))
	err := inParallel(ctx, len(list), func(ctx context.Context, i int) error {
		ctx, cancel := context.WithTimeout(ctx, s.o.timeout())
		defer cancel()
		res, err := s.do(ctx, http.MethodHead, "cas", list[i], nil)
		if errors.Is(err, cache.ErrNotFound) {
			isMissing[i] = true
			return nil
		}
		if err != nil {
			return err
		}
		return res.Body.Close()
	})
	var missing []cache.Digest
	for i, d := range list {
		if isMissing[i] {
			missing = append(missing, d)
		}
	}
	return missing, err
}

func (s *httpStore) Blobs(ctx context.Context, list []cache.Digest, put func(cache.Digest, io.Reader) error) error {
	return inParallel(ctx, len(list), func(ctx context.Context, i int) error {
		d := list[i]
		ctx, cancel := context.WithTimeout(ctx, s.o.allowance(d.Size))
		defer cancel()
		res, err := s.do(ctx, http.MethodGet, "cas", d, nil)
		if err != nil {
			return err
		}
		defer res.Body.Close()
		return put(d, res.Body)
	})
}

func (s *httpStore) PutBlobs(ctx context.Context, list []cache.Blob) error {
	return inParallel(ctx, len(list), func(ctx context.Context, i int) error {
		b := list[i]
		return s.put(ctx, "cas", b.Digest, func() (io.Reader, error) { return b.Open() })
	})
}

func (s *httpStore) Close() error {
	s.client.CloseIdleConnections()
	return nil
}
