package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/pprof"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// servePprof serves profiles at an address that only this machine, and of a Unix
// socket only this user, can reach. "" serves none.
func servePprof(address string) (io.Closer, error) {
	if address == "" {
		return io.NopCloser(nil), nil
	}
	l, err := listenPprof(address)
	if err != nil {
		return nil, fmt.Errorf("--pprof %s: %w", address, err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }() // until it is closed
	return server, nil
}

func listenPprof(address string) (net.Listener, error) {
	if path, ok := strings.CutPrefix(address, "unix:"); ok {
		old := unix.Umask(0o177) // nothing else runs yet
		defer unix.Umask(old)
		return net.Listen("unix", path)
	}
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return nil, errors.New("must be unix:PATH, or a loopback address and port (for example 127.0.0.1:6060)")
	}
	if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
		return nil, errors.New("must be a loopback address")
	}
	return net.Listen("tcp", address)
}
