package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/fstrace/fstrace/ipc"
	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

// What the client process does instead of running a command, by its first argument.
var clientTricks = map[string]func(socket string, args []string) error{
	"flood":    flood,
	"steal":    steal,
	"info":     info,
	"impostor": impostor,
	"detach":   detach,
	"list":     list,
}

// flood opens connections, says so, and keeps them until its standard input ends.
func flood(socket string, args []string) error {
	n, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var conns []net.Conn
	for range n {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return err
		}
		conns = append(conns, conn)
	}
	fmt.Println("flooded")
	_, _ = bufio.NewReader(os.Stdin).ReadByte()
	for _, conn := range conns {
		conn.Close()
	}
	return nil
}

// steal takes what it can get of a process of the same user.
func steal(_ string, args []string) error {
	pid, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return err
	}
	for fd := range 4 {
		if _, err := unix.PidfdGetfd(pidfd, fd, 0); !errors.Is(err, unix.EPERM) {
			fmt.Printf("stolen: descriptor %d: %v\n", fd, err)
		}
	}
	if err := unix.PtraceSeize(pid); !errors.Is(err, unix.EPERM) {
		fmt.Printf("stolen: seized: %v\n", err)
	}
	for _, name := range []string{"fd/2", "mem", "environ", "exe"} {
		if f, err := os.Open(fmt.Sprintf("/proc/%d/%s", pid, name)); err == nil {
			f.Close()
			fmt.Printf("stolen: %s\n", name)
		}
	}
	fmt.Println("tried")
	return nil
}

// info asks the daemon who it is.
func info(socket string, _ []string) error {
	client, err := ipc.Dial(socket)
	if err != nil {
		return err
	}
	fmt.Printf("served by pid %d\n", client.Server().PID)
	return nil
}

// startForNobody starts root's daemon, which serves another user as well.
func startForNobody(t *testing.T, args ...string) *daemonProcess {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may be another user")
	}
	socket := filepath.Join(harness.OpenDir(t), "socket")
	d := command(t, append([]string{"--socket", socket, "--allow-uid", strconv.Itoa(nobody)}, args...)...)
	d.socket = socket
	d.start()
	return d
}

var servedBy = regexp.MustCompile(`served by pid (\d+)`)

// workerPID has the other user's worker started, and returns its pid.
func workerPID(t *testing.T, d *daemonProcess) int {
	t.Helper()
	said := asNobody(t, d.socket, "info")
	m := servedBy.FindStringSubmatch(said)
	if m == nil {
		t.Fatalf("the client says %q", said)
	}
	pid, err := strconv.Atoi(m[1])
	if err != nil {
		t.Fatal(err)
	}
	if pid == d.cmd.Process.Pid {
		t.Fatal("root's daemon itself serves another user")
	}
	return pid
}

// TestWorkerStopped: a user who stops his worker, and sends it more connections than it
// has room for, holds up nobody else, nor the daemon's end.
func TestWorkerStopped(t *testing.T) {
	d := startForNobody(t)
	pid := workerPID(t, d)
	if err := syscall.Kill(pid, syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	cmd := nobodyCommand(d.socket, "flood", "1500")
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	if line, err := bufio.NewReader(out).ReadString('\n'); line != "flooded\n" {
		t.Fatalf("the client says %q, %v", line, err)
	}
	harness.Eventually(t, "connections are refused", func() bool { return strings.Contains(d.logged(), "is it stopped?") })
	d.client() // root is served

	d.signal(syscall.SIGTERM)
	if status := d.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if err := syscall.Kill(pid, 0); err == nil {
		t.Error("the worker is left")
	}
}

// TestStormWorkerStopped: a worker that is stopped again and again does not hold up the
// daemon's end either. It takes as long as a worker has to obey, so it is under make
// stress.
func TestStormWorkerStopped(t *testing.T) {
	if os.Getenv("FSTRACE_STRESS") == "" {
		t.Skip("make stress")
	}
	d := startForNobody(t)
	pid := workerPID(t, d)
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = syscall.Kill(pid, syscall.SIGSTOP)
			}
		}
	}()
	d.signal(syscall.SIGTERM)
	if status := d.end(); status != 0 {
		t.Errorf("exit status %d", status)
	}
	if !strings.Contains(d.logged(), "worker does not end by SIGTERM: killed") {
		t.Log("the worker was faster")
	}
}

// TestWorkerHidden: a user gets nothing out of his worker, which has nothing of root's.
func TestWorkerHidden(t *testing.T) {
	d := startForNobody(t)
	pid := workerPID(t, d)
	if said := asNobody(t, d.socket, "steal", strconv.Itoa(pid)); said != "tried\n" {
		t.Errorf("a process of the same user: %s", said)
	}
	for fd := range 3 {
		name := fmt.Sprintf("fd/%d", fd)
		theirs, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, name))
		if err != nil {
			t.Fatal(err)
		}
		roots, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", d.cmd.Process.Pid, name))
		if err != nil {
			t.Fatal(err)
		}
		if theirs == roots && theirs != os.DevNull {
			t.Errorf("the worker's %s is root's: %s", name, theirs)
		}
	}
	harness.Eventually(t, "the worker's log comes", func() bool {
		return strings.Contains(d.logged(), fmt.Sprintf("worker=%d uid=%d", pid, nobody))
	})
}

// TestWorkerIdle: a worker that has nothing to do ends, and the next connection gets
// another. None is lost between the two.
func TestWorkerIdle(t *testing.T) {
	d := startForNobody(t, "--worker-idle", "1ms")
	for range 5 {
		pid := workerPID(t, d)
		harness.Eventually(t, "the worker ends", func() bool {
			return strings.Contains(d.logged(), fmt.Sprintf(`msg="worker ended" uid=%d pid=%d state="exit status 0"`, nobody, pid))
		})
	}
}

// TestWorkerGroups: a user has so many workers and no more.
func TestWorkerGroups(t *testing.T) {
	d := startForNobody(t)
	for i := range workersOfUser + 1 {
		cmd := nobodyCommand(d.socket, "info")
		cmd.SysProcAttr.Credential.Groups = []uint32{uint32(5000 + i)}
		out, _ := cmd.CombinedOutput() // what it says tells
		if want := i < workersOfUser; want != servedBy.Match(out) {
			t.Errorf("set of groups %d: %s", i+1, out)
		}
	}
}

// TestWorkerKilled: a user who kills his worker as soon as it is there is served again
// later, and others meanwhile.
func TestWorkerKilled(t *testing.T) {
	d := startForNobody(t)
	if err := syscall.Kill(workerPID(t, d), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	d.client()
	harness.Eventually(t, "he is served again", func() bool { return servedBy.MatchString(asNobody(t, d.socket, "info")) })
}

// impostor listens at a socket, and says what it has received.
func impostor(socket string, _ []string) error {
	l, err := net.Listen("unix", socket)
	if err != nil {
		return err
	}
	defer l.Close()
	if err := os.Chmod(socket, 0o666); err != nil {
		return err
	}
	fmt.Println("listening")
	conn, err := l.Accept()
	if err != nil {
		return err
	}
	defer conn.Close()
	got, err := io.ReadAll(conn)
	fmt.Printf("received %q\n", got)
	return err
}

// TestImpostor: a client says nothing to another user's daemon.
func TestImpostor(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may be another user")
	}
	dir := harness.OpenDir(t)
	if err := os.Chmod(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(dir, "socket")
	cmd := nobodyCommand(socket, "impostor")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	r := bufio.NewReader(out)
	if line, err := r.ReadString('\n'); line != "listening\n" {
		t.Fatalf("%q, %v", line, err)
	}
	if _, err := ipc.Dial(socket); err == nil || !strings.Contains(err.Error(), "user 65534") {
		t.Errorf("error %v", err)
	}
	if line, err := r.ReadString('\n'); line != "received \"\"\n" {
		t.Errorf("%q, %v", line, err)
	}
}

// detach leaves a session behind.
func detach(socket string, _ []string) error {
	client, err := ipc.Dial(socket)
	if err != nil {
		return err
	}
	s, err := client.Run(context.Background(), &ipc.RunRequest{
		Argv: []string{"/bin/true"}, Env: []string{}, Cwd: "/", Options: ipc.Options{Detach: true},
	})
	if err != nil {
		return err
	}
	defer s.Close()
	if _, err := io.Copy(io.Discard, s.Record()); err != nil {
		return err
	}
	fmt.Println(s.Session())
	return nil
}

// list lists sessions, and reads the record of each.
func list(socket string, _ []string) error {
	client, err := ipc.Dial(socket)
	if err != nil {
		return err
	}
	sessions, err := client.List(context.Background())
	for i := range sessions {
		s, err := client.Subscribe(context.Background(), sessions[i].Session, 0)
		if err != nil {
			return err
		}
		if _, err := io.Copy(io.Discard, s.Record()); err != nil {
			return err
		}
		s.Close()
		fmt.Println(sessions[i].Session)
	}
	return err
}

// TestWorkersOfUser: a user sees the sessions that he has run with other groups.
func TestWorkersOfUser(t *testing.T) {
	d := startForNobody(t)
	want := ""
	for i := range uint32(3) {
		cmd := nobodyCommand(d.socket, "detach")
		cmd.SysProcAttr.Credential.Groups = []uint32{5000 + i}
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		want += string(out)
	}
	for i := range uint32(4) { // the last has a worker of its own, without sessions
		cmd := nobodyCommand(d.socket, "list")
		cmd.SysProcAttr.Credential.Groups = []uint32{5000 + i}
		if out, err := cmd.CombinedOutput(); err != nil || string(out) != want {
			t.Errorf("with group %d: %v, %s, want %s", 5000+i, err, out, want)
		}
	}
}

// TestWorkerKeys: the keys of root's session are not those of another user's commands.
func TestWorkerKeys(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root may be another user")
	}
	runtime.LockOSThread() // for good: the thread ends with the test
	if _, _, errno := unix.Syscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0); errno != 0 {
		t.Skipf("no session keyrings here: %v", errno)
	}
	name := fmt.Sprintf("fstraced-test-%d", os.Getpid())
	if _, err := unix.AddKey("user", name, []byte("secret"), unix.KEY_SPEC_SESSION_KEYRING); err != nil {
		t.Skipf("no keys here: %v", err)
	}
	if keys, err := os.ReadFile("/proc/keys"); err != nil || !strings.Contains(string(keys), name) {
		t.Skipf("/proc/keys does not show the key: %v", err)
	}
	d := startForNobody(t)
	got := asNobody(t, d.socket, "/proc/keys", "/")
	if !strings.Contains(got, `"complete":true`) {
		t.Fatalf("%s", got)
	}
	if strings.Contains(got, name) {
		t.Errorf("another user's command has root's key: %.600s", got)
	}
}
