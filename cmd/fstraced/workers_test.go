package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

const nobody = 65534

// asNobody runs a client as another user, with groups of its own.
func asNobody(t testing.TB, socket string, args ...string) string {
	t.Helper()
	out, _ := nobodyCommand(socket, args...).CombinedOutput() // what it says tells
	return string(out)
}

func nobodyCommand(socket string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = []string{clientVariable + "=" + socket, "GORACE=atexit_sleep_ms=0"}
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody, Groups: []uint32{4242, 4243}}}
	return cmd
}

// TestOtherUser: root's daemon runs another user's command as that user, and neither
// the command nor its record learns more than that user may.
func TestOtherUser(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may be another user")
	}
	dir := harness.OpenDir(t)
	secret := filepath.Join(dir, "secret")
	if err := os.WriteFile(secret, []byte("the secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	closed := filepath.Join(dir, "closed")
	if err := os.MkdirAll(filepath.Join(closed, "inner"), 0o700); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	d := command(t, "--socket", socket, "--allow-uid", strconv.Itoa(nobody))
	d.socket = socket
	d.start()
	got := asNobody(t, socket, secret, filepath.Join(closed, "inner"))
	for _, want := range []string{
		"65534\n65534\n65534 4242 4243\n", "CapEff:\t0000000000000000\n", "Permission denied", `"exit":{"code":5}`, `"complete":true`,
	} {
		if !strings.Contains(got, want) {
			t.Errorf("it lacks %q", want)
		}
	}
	// Of what is in a directory that the user may not search, nothing is known.
	if i := strings.Index(got, `"path":"`+filepath.Join(closed, "inner")+`"`); i < 0 || !strings.HasPrefix(got[i:], `"path":"`+filepath.Join(closed, "inner")+`","state":"unknown"`) {
		t.Error("the record tells what the user may not know")
	}
	if strings.Contains(got, `"path":"`+secret+`","state":"file","sha256"`) {
		t.Error("the manifest has the hash of what the user may not read")
	}
	if t.Failed() {
		t.Logf("%.4000s", got)
	}
	d.signal(syscall.SIGTERM)
	if status := d.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
}

// TestOtherUserRefused: nobody is served who was not named.
func TestOtherUserRefused(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may be another user")
	}
	for _, args := range [][]string{{}, {"--allow-uid", "12345"}} {
		dir := harness.OpenDir(t)
		socket := filepath.Join(dir, "socket")
		d := command(t, append([]string{"--socket", socket}, args...)...)
		d.socket = socket
		d.start()
		if err := os.Chmod(socket, 0o666); err != nil { // as if it were not protected
			t.Fatal(err)
		}
		got := asNobody(t, socket, "/", "/")
		if !strings.Contains(got, "another user") && !strings.Contains(got, "does not serve uid 65534") {
			t.Errorf("%q: %q", args, got)
		}
	}
}
