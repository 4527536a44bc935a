package main

import (
	"cmp"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/fstrace/fstrace/cache"
	"github.com/fstrace/fstrace/cache/remote"
	"github.com/spf13/pflag"
)

// remoteFlags say which server has results, too.
type remoteFlags struct {
	url, instance string
	noUpload      bool
	ca, cert, key string
	timeout       time.Duration
}

// The variables of the environment that stand for flags. What the header has is a secret,
// which the command line would show to everybody.
const (
	remoteVariable = "FSTRACE_CACHE_REMOTE"
	headerVariable = "FSTRACE_CACHE_HEADER"
)

func (f *remoteFlags) add(flags *pflag.FlagSet) {
	flags.StringVar(&f.url, "remote", "", "also look for results at `URL` and store them there: grpc://, grpcs://, http:// or https:// ($"+remoteVariable+"; $"+headerVariable+" has \"NAME: VALUE\" lines to send)")
	flags.StringVar(&f.instance, "instance", "", "use the instance of that `NAME` of a Remote Execution API server")
	flags.BoolVar(&f.noUpload, "no-upload", false, "store nothing at the remote URL")
	flags.StringVar(&f.ca, "remote-ca", "", "trust servers with a certificate that is signed by one in `FILE` (PEM)")
	flags.StringVar(&f.cert, "remote-cert", "", "identify with the client certificate in `FILE`; requires --remote-key")
	flags.StringVar(&f.key, "remote-key", "", "the private key of the client certificate is in `FILE`")
	flags.DurationVar(&f.timeout, "remote-timeout", 10*time.Second, "run without the remote store if a call to it takes longer than `D`")
}

// open sets the remote store of a cache, if there is to be one.
func (f *remoteFlags) open(o *cache.Options) error {
	url := cmp.Or(f.url, os.Getenv(remoteVariable))
	if url == "" {
		return nil
	}
	if (f.cert == "") != (f.key == "") {
		return errors.New("--remote-cert, --remote-key: one requires the other")
	}
	if f.timeout <= 0 {
		return errors.New("--remote-timeout: must be more than 0")
	}
	header, err := parseHeader(os.Getenv(headerVariable))
	if err != nil {
		return fmt.Errorf("$%s: %w", headerVariable, err)
	}
	store, err := remote.Open(url, remote.Options{
		Instance: f.instance, Header: header, RootCAs: f.ca, Certificate: f.cert, Key: f.key, Timeout: f.timeout,
	})
	if err != nil {
		return err
	}
	o.Remote, o.ReadOnly = store, f.noUpload
	return nil
}

// parseHeader parses lines of "NAME: VALUE".
func parseHeader(text string) (http.Header, error) {
	header := make(http.Header)
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		if !ok || name == "" {
			return nil, errors.New("must have lines of \"NAME: VALUE\"") // it is a secret
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return header, nil
}
