package main

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/ipc"
	"golang.org/x/sys/unix"
)

// listen returns where clients come from, and its name: the socket that systemd has
// passed, a worker's channel, or one that is made here.
func (f *flags) listen() (ipc.Listener, string, error) {
	if f.worker != "" {
		l, err := newHandedOver(workerSocket)
		return l, "", err
	}
	switch l, err := activated(); {
	case err != nil:
		return nil, "", err
	case l != nil:
		return l, l.Addr().String(), nil
	}
	name := f.socket
	if name == "" {
		var err error
		if name, err = defaultSocket(); err != nil {
			return nil, "", err
		}
	}
	l, err := listenAt(name, len(f.allowUIDs) > 0)
	if err != nil {
		return nil, "", fmt.Errorf("listen on %s: %w", name, err)
	}
	return l, name, nil
}

// firstPassed is the number of the first descriptor that systemd passes:
// sd_listen_fds(3).
const firstPassed = 3

// activated returns the socket that systemd has passed, nil if there is none. The
// variables that describe it are not for commands.
func activated() (*net.UnixListener, error) {
	pid, count := os.Getenv("LISTEN_PID"), os.Getenv("LISTEN_FDS")
	for _, name := range []string{"LISTEN_PID", "LISTEN_FDS", "LISTEN_FDNAMES", "LISTEN_PIDFDID"} {
		_ = os.Unsetenv(name)
	}
	if pid != strconv.Itoa(os.Getpid()) {
		return nil, nil
	}
	if count != "1" {
		return nil, fmt.Errorf("systemd passed %s sockets, want 1", cmp.Or(count, "no"))
	}
	unix.CloseOnExec(firstPassed)
	file := os.NewFile(firstPassed, "systemd's socket")
	defer file.Close()
	if err := listening(firstPassed); err != nil {
		return nil, fmt.Errorf("the socket that systemd passed: %w", err)
	}
	l, err := net.FileListener(file)
	if err != nil {
		return nil, fmt.Errorf("the socket that systemd passed: %w", err)
	}
	unixListener, ok := l.(*net.UnixListener)
	if !ok {
		l.Close()
		return nil, errors.New("the socket that systemd passed is not a Unix stream socket")
	}
	unixListener.SetUnlinkOnClose(false) // it is systemd's
	return unixListener, nil
}

// listening makes sure that a descriptor is a Unix stream socket that listens. On any
// other accept(2) would fail again and again.
func listening(fd int) error {
	for _, want := range []struct {
		option, value int
		what          string
	}{
		{unix.SO_DOMAIN, unix.AF_UNIX, "not a Unix socket: ListenStream= must be a path"},
		{unix.SO_TYPE, unix.SOCK_STREAM, "not a stream socket: the unit must have ListenStream="},
		{unix.SO_ACCEPTCONN, 1, "not listening: the unit must have Accept=no"},
	} {
		got, err := unix.GetsockoptInt(fd, unix.SOL_SOCKET, want.option)
		if err != nil {
			return err
		}
		if got != want.value {
			return errors.New(want.what)
		}
	}
	return nil
}

// defaultSocket is ipc.DefaultSocket, in a directory that exists and belongs to this
// user.
func defaultSocket() (string, error) {
	name, err := ipc.DefaultSocket()
	if err != nil {
		return "", err
	}
	dir := filepath.Dir(name)
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, unix.EEXIST) {
		return "", fmt.Errorf("make the socket's directory: %w (XDG_RUNTIME_DIR must be there; or give --socket)", err)
	}
	var st unix.Stat_t
	if err := unix.Lstat(dir, &st); err != nil {
		return "", fmt.Errorf("the socket's directory %s: %w", dir, err)
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR || int(st.Uid) != os.Geteuid() {
		return "", fmt.Errorf("the socket's directory %s is not this user's own directory", dir)
	}
	if st.Mode&0o077 != 0 {
		if err := os.Chmod(dir, 0o700); err != nil {
			return "", fmt.Errorf("the socket's directory: %w", err)
		}
	}
	return name, nil
}

// An ownSocket is a socket with the lock that says that its daemon lives.
type ownSocket struct {
	*net.UnixListener
	lock io.Closer // held to the process's end
}

// listenAt makes a socket. A lock beside it distinguishes a daemon that lives from one
// that was killed and has left its socket: that is taken over. If the socket cannot be
// made, no lock is left that was not there.
func listenAt(name string, forOthers bool) (*ownSocket, error) {
	if err := socketOrNothing(name); err != nil {
		return nil, err
	}
	lock, made, err := lockFile(name + ".lock")
	if err != nil {
		return nil, err
	}
	l, err := takeOver(name, forOthers)
	if err != nil {
		if made {
			_ = os.Remove(lock.Name())
		}
		lock.Close()
		return nil, err
	}
	return &ownSocket{l, lock}, nil
}

// socketOrNothing makes sure that nothing is in the socket's place that is no socket.
func socketOrNothing(name string) error {
	switch info, err := os.Lstat(name); {
	case errors.Is(err, unix.ENOENT):
		return nil
	case err != nil:
		return commandline.Cause(err)
	case info.Mode().Type() != os.ModeSocket:
		return errors.New("the file exists and is not a socket")
	}
	return nil
}

// lockFile makes and locks a file. It reports whether the file was not there before. A
// lock of a file that has been removed meanwhile is nothing worth: then it tries again.
func lockFile(name string) (lock *os.File, made bool, err error) {
	for {
		const flags = os.O_RDWR | unix.O_NOFOLLOW
		made = true
		lock, err = os.OpenFile(name, flags|os.O_CREATE|os.O_EXCL, 0o600)
		if errors.Is(err, unix.EEXIST) {
			made = false
			if lock, err = os.OpenFile(name, flags, 0); errors.Is(err, unix.ENOENT) {
				continue
			}
		}
		if err != nil {
			return nil, false, fmt.Errorf("open the lock %s: %w", name, commandline.Cause(err))
		}
		if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
			lock.Close()
			if err == unix.EWOULDBLOCK {
				return nil, false, errors.New("another fstraced is listening")
			}
			return nil, false, fmt.Errorf("lock %s: %w", name, err)
		}
		there, err := os.Lstat(name)
		if mine, mineErr := lock.Stat(); err == nil && mineErr == nil && os.SameFile(there, mine) {
			return lock, made, nil
		}
		lock.Close()
	}
}

// takeOver replaces a socket whose listener is gone.
func takeOver(name string, forOthers bool) (*net.UnixListener, error) {
	if err := socketOrNothing(name); err != nil {
		return nil, err
	}
	if _, err := os.Lstat(name); err == nil {
		if conn, err := net.Dial("unix", name); err == nil { // systemd's, for one, has no lock
			conn.Close()
			return nil, errors.New("another process is listening")
		}
		if err := os.Remove(name); err != nil {
			return nil, commandline.Cause(err)
		}
	}
	mode := 0o177
	if forOthers {
		mode = 0o111 // who may do what, the peer's uid says
	}
	old := unix.Umask(mode) // nothing else runs yet
	defer unix.Umask(old)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: name, Net: "unix"})
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return l, err
}

// realSpool makes sure that spools can be made in a directory.
func realSpool(dir string) (string, error) {
	info, err := os.Stat(dir)
	if err == nil && !info.IsDir() {
		err = unix.ENOTDIR
	}
	if err != nil {
		return "", fmt.Errorf("--spool-dir %s: %w", dir, commandline.Cause(err))
	}
	return dir, nil
}
