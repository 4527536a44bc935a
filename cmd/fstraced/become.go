package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"

	"github.com/fstrace/fstrace/ipc"
	"golang.org/x/sys/unix"
)

// An identity is the user that a worker becomes.
type identity struct {
	uid, gid int
	groups   []int
}

func identityOf(p ipc.Peer) identity { return identity{p.UID, p.GID, p.Groups} }

// String is what --worker takes: uid, gid and groups, with colons between them.
func (i identity) String() string {
	words := []string{strconv.Itoa(i.uid), strconv.Itoa(i.gid)}
	for _, g := range i.groups {
		words = append(words, strconv.Itoa(g))
	}
	return strings.Join(words, ":")
}

// parseIdentity reads what String has written.
func parseIdentity(s string) (identity, error) {
	var numbers []int
	for word := range strings.SplitSeq(s, ":") {
		n, err := strconv.ParseUint(word, 10, 32)
		if err != nil {
			return identity{}, fmt.Errorf("--worker %q: %w", s, err)
		}
		numbers = append(numbers, int(n))
	}
	if len(numbers) < 2 || numbers[0] == 0 {
		return identity{}, fmt.Errorf("--worker %q: not another user's uid, gid and groups", s)
	}
	return identity{numbers[0], numbers[1], numbers[2:]}, nil
}

// become makes this process, root's until now, a process of another user, without
// privileges. It is never dumpable while it is that user's: so the user cannot trace it,
// read its memory, or take its descriptors, by ptrace(2) or pidfd_getfd(2). execve(2) as
// that user would leave it dumpable until it says otherwise.
func (i identity) become() error {
	if err := leaveKeyring(); err != nil {
		return err
	}
	if err := undumpable(); err != nil {
		return err
	}
	if err := syscall.Setgroups(i.groups); err != nil {
		return fmt.Errorf("setgroups: %w", err)
	}
	if err := syscall.Setresgid(i.gid, i.gid, i.gid); err != nil {
		return fmt.Errorf("setresgid: %w", err)
	}
	if err := syscall.Setresuid(i.uid, i.uid, i.uid); err != nil {
		return fmt.Errorf("setresuid: %w", err)
	}
	// The change of the uid sets it to fs.suid_dumpable, which is 0 or 2 except for
	// debugging: proc(5).
	if err := undumpable(); err != nil {
		return err
	}
	var head unix.CapUserHeader
	var data [2]unix.CapUserData
	head.Version = unix.LINUX_CAPABILITY_VERSION_3
	if err := unix.Capget(&head, &data[0]); err != nil {
		return fmt.Errorf("capget: %w", err)
	}
	if data[0].Permitted|data[1].Permitted|data[0].Effective|data[1].Effective != 0 {
		return errors.New("capabilities are left after setresuid: the daemon's securebits keep them")
	}
	return nil
}

// keyringVariable is set for a worker that has left root's keyring.
const keyringVariable = "FSTRACED_KEYRING"

// leaveKeyring gives the process a session keyring of its own. It has root's otherwise,
// and any process that possesses a keyring may read its keys: session-keyring(7). The
// kernel knows the keyring of each thread: only execve(2) makes that of one the
// process's.
func leaveKeyring() error {
	if os.Getenv(keyringVariable) != "" {
		return os.Unsetenv(keyringVariable)
	}
	runtime.LockOSThread()
	_, _, errno := unix.Syscall(unix.SYS_KEYCTL, unix.KEYCTL_JOIN_SESSION_KEYRING, 0, 0)
	switch errno {
	case 0:
	case unix.ENOSYS, unix.EPERM: // no keys, or a filter that the commands inherit
		return nil
	default:
		return fmt.Errorf("keyctl(KEYCTL_JOIN_SESSION_KEYRING): %w", errno)
	}
	err := syscall.Exec("/proc/self/exe", os.Args, append(os.Environ(), keyringVariable+"=own"))
	return fmt.Errorf("execute /proc/self/exe again: %w", err)
}

func undumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl(PR_SET_DUMPABLE): %w", err)
	}
	return nil
}
