package ipc

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestDocumentedClient runs the client that docs/protocol.md shows.
func TestDocumentedClient(t *testing.T) {
	python, err := exec.LookPath("python3")
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	doc, err := os.ReadFile("../docs/protocol.md")
	if err != nil {
		t.Fatal(err)
	}
	_, text, ok := strings.Cut(string(doc), "\n## A client\n")
	if !ok {
		t.Fatal("the client is not where it was")
	}
	var program strings.Builder
	for line := range strings.Lines(text) {
		if code, ok := strings.CutPrefix(line, "    "); ok || strings.TrimSpace(line) == "" {
			program.WriteString(code + map[bool]string{false: "\n"}[ok])
		}
	}
	dir := t.TempDir()
	if err := os.Mkdir(filepath.Join(dir, "fstrace"), 0o700); err != nil {
		t.Fatal(err)
	}
	client, s := startServer(t, nil)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(dir, "fstrace", "socket"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.Serve(l) }() // until the server ends
	cmd := exec.CommandContext(testContext(t), python, "-c", program.String())
	cmd.Env = []string{"XDG_RUNTIME_DIR=" + dir, "PATH=/usr/bin:/bin"}
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	for _, want := range []string{"/etc/hostname file\n", "{'code': 0} complete\n"} {
		if !strings.Contains(string(out), want) {
			t.Errorf("it prints\n%s\nwhich lacks %q", out, want)
		}
	}
	if list, err := client.List(testContext(t)); err != nil || len(list) != 1 {
		t.Errorf("%v, %v", list, err)
	}
}
