package remote

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/fstrace/fstrace/cache"
)

// Options are the options of Open. The zero value is valid.
type Options struct {
	// Instance is the name of an instance, for servers that have several.
	Instance string
	// Header is sent with each call, such as an Authorization. The user and the password
	// of a URL are sent as one.
	Header http.Header
	// RootCAs is a file of certificates in PEM that sign those of servers; "" means those
	// of the system. Certificate and Key are files of a client's certificate.
	RootCAs, Certificate, Key string
	// Timeout is how long a call may take, not counting the content of blobs; 0 means 10
	// seconds.
	Timeout time.Duration
}

// slowest is the rate in bytes for each second below which a transfer is given up.
const slowest = 64 << 10

func (o *Options) timeout() time.Duration {
	if o.Timeout > 0 {
		return o.Timeout
	}
	return 10 * time.Second
}

// allowance returns how long the transfer of so many bytes may take.
func (o *Options) allowance(size int64) time.Duration {
	return o.timeout() + time.Duration(size/slowest)*time.Second
}

// Open returns the store at a URL: http, https, grpc or grpcs (with TLS). It connects
// when the store is used first. The caller closes the store.
func Open(address string, o Options) (Store, error) {
	u, err := url.Parse(address)
	if err != nil {
		return nil, errors.New("remote store: the address is not a URL") // it may have a password
	}
	if u.Host == "" {
		return nil, fmt.Errorf("remote store %s: no host; as in grpc://localhost:9092 or http://localhost:8080", u.Redacted())
	}
	header := o.Header.Clone()
	if header == nil {
		header = make(http.Header)
	}
	if u.User != nil {
		password, _ := u.User.Password()
		r := http.Request{Header: header}
		r.SetBasicAuth(u.User.Username(), password)
		u.User = nil
	}
	o.Header = header
	security, err := o.tls(u.Hostname())
	if err != nil {
		return nil, fmt.Errorf("remote store %s: %w", u.Redacted(), err)
	}
	switch u.Scheme {
	case "http", "https":
		u.Path = strings.TrimSuffix(u.Path, "/")
		return newHTTP(u, security, o), nil
	case "grpc", "grpcs":
		if u.Scheme == "grpc" {
			security = nil
		}
		return newGRPC(u.Host, security, o)
	}
	return nil, fmt.Errorf("remote store %s: the scheme must be grpc, grpcs, http or https", u.Redacted())
}

// A Store is a remote store.
type Store interface {
	cache.Store
	// Close closes the connections.
	Close() error
}

func (o *Options) tls(host string) (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12, ServerName: host}
	if o.RootCAs != "" {
		pem, err := os.ReadFile(o.RootCAs)
		if err != nil {
			return nil, err
		}
		c.RootCAs = x509.NewCertPool()
		if !c.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("%s: no certificate in it", o.RootCAs)
		}
	}
	if o.Certificate != "" || o.Key != "" {
		pair, err := tls.LoadX509KeyPair(o.Certificate, o.Key)
		if err != nil {
			return nil, err
		}
		c.Certificates = []tls.Certificate{pair}
	}
	return c, nil
}
