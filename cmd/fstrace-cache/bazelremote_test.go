package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// bazelRemote is the version of the server that is tried.
const bazelRemote = "github.com/buchgr/bazel-remote/v2"

const bazelRemoteModule = `module build
go 1.26
require ` + bazelRemote + ` v2.6.2
`

// buildBazelRemote builds the server. It takes a minute.
func buildBazelRemote(t *testing.T) string {
	t.Helper()
	dir := harness.OpenDir(t)
	harness.WriteFile(t, filepath.Join(dir, "go.mod"), bazelRemoteModule)
	exe := filepath.Join(dir, "bazel-remote")
	build := exec.Command(harness.NeedTool(t, "go"), "build", "-mod=mod", "-o", exe, bazelRemote)
	build.Dir = dir
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build %s: %v\n%s", bazelRemote, err, out)
	}
	return exe
}

// A server is a running bazel-remote.
type server struct {
	cmd        *exec.Cmd
	grpc, http string // host and port
}

// freePort returns the address of a port that nobody uses at the moment.
func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func startServer(t *testing.T, exe, dir string, flags ...string) *server {
	t.Helper()
	s := &server{grpc: freePort(t), http: freePort(t)}
	args := append([]string{"--dir", dir, "--max_size", "1", "--grpc_address", s.grpc, "--http_address", s.http}, flags...)
	s.cmd = exec.Command(exe, args...)
	log, err := os.Create(filepath.Join(harness.OpenDir(t), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	s.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.kill)
	for _, address := range []string{s.grpc, s.http} {
		harness.Eventually(t, "the server listens", func() bool {
			c, err := net.Dial("tcp", address)
			if err == nil {
				c.Close()
			}
			return err == nil
		})
	}
	return s
}

func (s *server) kill() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

// certificate writes a certificate for 127.0.0.1 that signs itself, and its key.
func certificate(t *testing.T, dir string) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &private.PublicKey, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalECPrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	harness.WriteFile(t, cert, string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	harness.WriteFile(t, key, string(pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: secret})))
	return cert, key
}

// TestProgramBazelRemote: two stores share results through bazel-remote, by both
// protocols, with and without TLS and a password, and whatever happens to the server.
func TestProgramBazelRemote(t *testing.T) {
	if harness.StormRounds(t, 0) == 0 {
		t.Skip("it is long: set FSTRACE_STRESS, as make stress does")
	}
	harness.NeedTool(t, "gcc")
	exe := buildBazelRemote(t)
	dir := harness.OpenDir(t)
	cert, key := certificate(t, dir)
	passwords := filepath.Join(dir, "htpasswd")
	// "secret", by bcrypt.
	harness.WriteFile(t, passwords, "me:$2b$04$q18dvYUgSAE/mj70aZChROSr7SO7PcsnEbXk3ko4Kvz.Yjm7U2oPm\n")

	for _, c := range []struct {
		name           string
		server, client []string
		scheme, user   string
	}{
		{name: "plain"},
		{name: "tls", server: []string{"--tls_cert_file", cert, "--tls_key_file", key}, client: []string{"--remote-ca", cert}, scheme: "s"},
		{name: "password", server: []string{"--htpasswd_file", passwords}, user: "me:secret@"},
	} {
		for _, protocol := range []string{"grpc", "http"} {
			t.Run(c.name+" "+protocol, func(t *testing.T) {
				data := harness.OpenDir(t)
				s := startServer(t, exe, data, c.server...)
				address := map[string]string{"grpc": s.grpc, "http": s.http}[protocol]
				url := protocol + c.scheme + "://" + c.user + address
				shareResults(t, s, data, append([]string{"--remote", url}, c.client...))
			})
		}
	}
}

// shareResults runs commands in two checkouts with two stores and one server.
func shareResults(t *testing.T, s *server, data string, flags []string) {
	t.Helper()
	p := newProject(t)
	p.flags = append([]string{"--root", ".", "--ignore-former-outputs"}, flags...)
	cProject(p)
	large := []string{"sh", "-c", "head -c 3000000 /dev/zero >zeros; cat main.c; echo done >&2"}
	compile := []string{"gcc", "-c", "main.c"}
	q := p.elsewhere("other")
	q.store += "2"
	p.runs(compile...)
	want := p.runs(large...)
	for _, argv := range [][]string{compile, large} {
		out, r := q.run(argv...)
		if !r.Hit || !r.Remote {
			t.Fatalf("%q: %+v\n%s", argv, r, out.Stderr)
		}
		if argv[0] == "sh" {
			harness.Same(t, want, out, nil)
		}
	}
	if q.read("main.o") != p.read("main.o") || q.read("zeros") != p.read("zeros") {
		t.Error("another result came from the server")
	}
	q.hits(compile...)

	// The server loses blobs behind its own back, or has others.
	blobs, err := filepath.Glob(filepath.Join(data, "cas.v2", "*", "*"))
	if err != nil || len(blobs) == 0 {
		t.Fatal(blobs, err)
	}
	for i, name := range blobs {
		if i%2 == 0 {
			err = os.Remove(name)
		} else {
			err = os.WriteFile(name, []byte("something else"), 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	q.remove("main.o", "zeros")
	q.store += "3"
	if out, r := q.run(large...); r.Hit {
		t.Errorf("with a damaged server: %+v\n%s", r, out.Stderr)
	} else {
		harness.Same(t, want, harness.Outcome{Stdout: out.Stdout, Stderr: want.Stderr, Status: out.Status}, nil)
	}
	if q.read("zeros") != p.read("zeros") {
		t.Error("wrong output")
	}

	// The server is gone.
	s.kill()
	q.store += "4"
	start := time.Now()
	out, r := q.run(compile...)
	if r.Hit || !r.Kept || !strings.Contains(out.Stderr, "fstrace cache:") {
		t.Errorf("without a server: %+v\n%s", r, out.Stderr)
	}
	t.Log(fmt.Sprint("without a server: ", time.Since(start)))
}
