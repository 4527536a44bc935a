package manifest

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestVerdictExternal: what a command hears from outside the file system is said, and
// check can be told to refuse it.
func TestVerdictExternal(t *testing.T) {
	tcp, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Skipf("needs the network: %v", err)
	}
	defer tcp.Close()
	go answer(tcp)
	_, port, _ := net.SplitHostPort(tcp.Addr().String())

	for _, tt := range []struct {
		name, kind string
		command    string // a shell script, in which TRACE runs what follows under fstrace
		tool       string
	}{
		{"a file", "", "TRACE cat f", "cat"},
		{"its own pipe", "", "TRACE sh -c 'echo one | cat'", "sh"},
		{"its own FIFO", "", "TRACE sh -c 'mkfifo p; cat p & echo one >p; wait'", "sh"},
		{"/dev/null", "", "TRACE cat </dev/null", "cat"},
		{"a pipe", "pipe", "echo one | TRACE cat", "cat"},
		{"a FIFO", "fifo", "mkfifo p; echo one >p & TRACE cat p; wait", "cat"},
		{"random bytes", "random", "TRACE head -c 1 /dev/urandom", "head"},
		{"attributes", "attributes", `TRACE python3 -I -c 'import os; os.listxattr("f")'`, "python3"},
		{"a server", "network", "TRACE bash -c 'exec 3<>/dev/tcp/127.0.0.1/" + port + "; cat <&3'", "bash"},
		{"a Unix socket", "socket", `TRACE python3 -I -c 'import socket; c=socket.socket(1); c.connect("s"); print(c.recv(9))'`, "python3"},
	} {
		t.Run(strings.NewReplacer(" ", "_", "/", "_").Replace(tt.name), func(t *testing.T) {
			harness.NeedTool(t, tt.tool)
			x := newExternalTest(t)
			unix, err := net.Listen("unix", filepath.Join(x.dir, "s"))
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close()
			go answer(unix)
			x.shell(tt.command)
			for flag, want := range map[string]int{"--times=auto": harness.ExitValid, "--hermetic": harness.ExitCannotTell, "--hermetic=" + tt.kind: harness.ExitCannotTell, "--hermetic=device": harness.ExitValid} {
				if tt.kind == "" && flag == "--hermetic=" {
					continue
				}
				if tt.kind == "" {
					want = harness.ExitValid
				}
				if got, out := x.ask(flag); got != want {
					t.Errorf("check %s: status %d, want %d\n%s", flag, got, want, out)
				}
			}
		})
	}
}

func answer(l net.Listener) {
	for {
		c, err := l.Accept()
		if err != nil {
			return
		}
		_, _ = c.Write([]byte("one\n"))
		c.Close()
	}
}

func newExternalTest(t *testing.T) *looping {
	dir := harness.OpenDir(t)
	x := &looping{t: t, dir: filepath.Join(dir, "d"), fstrace: harness.Fstrace(t), manifest: filepath.Join(dir, "m.json")}
	harness.WriteFile(t, filepath.Join(x.dir, "f"), "one\n")
	x.env = append(os.Environ(), "XDG_CACHE_HOME="+filepath.Join(dir, "cache"))
	return x
}

// shell runs a script in which TRACE stands for fstrace.
func (x *looping) shell(script string, env ...string) {
	x.t.Helper()
	trace := fmt.Sprintf("%s -q -f manifest -o %s --", x.fstrace, x.manifest)
	cmd := exec.Command("sh", "-c", strings.ReplaceAll(script, "TRACE", trace))
	cmd.Dir, cmd.Env = x.dir, append(x.env, env...)
	if out, err := cmd.CombinedOutput(); err != nil {
		x.t.Fatalf("%s: %v\n%s", script, err, out)
	}
}

// TestVerdictCommandKey: what check does not compare, and a cache has to look up a
// manifest by, is in the manifest.
func TestVerdictCommandKey(t *testing.T) {
	x := newExternalTest(t)
	key := func(script string, env ...string) string {
		t.Helper()
		x.shell(script, env...)
		data, err := os.ReadFile(x.manifest)
		if err != nil {
			t.Fatal(err)
		}
		var m struct {
			Command struct {
				Environment []struct{ Name, Digest string }
				Umask       string
				UID         int
				Stdin       string
			}
		}
		if err := json.Unmarshal(data, &m); err != nil {
			t.Fatal(err)
		}
		s := fmt.Sprint(m.Command.Umask, m.Command.UID, m.Command.Stdin)
		for _, v := range m.Command.Environment {
			if v.Name == "A" {
				s += v.Digest
			}
		}
		return s
	}
	const script = "TRACE sh -c 'echo $A'"
	base := key(script, "A=1")
	if again := key(script, "A=1"); again != base {
		t.Errorf("the same command: %s and %s", base, again)
	}
	for name, other := range map[string]string{
		"environment": key(script, "A=2"),
		"umask":       key("umask 077; "+script, "A=1"),
		"stdin":       key("echo | "+script, "A=1"),
	} {
		if other == base {
			t.Errorf("another %s: %s as before", name, other)
		}
	}
}
