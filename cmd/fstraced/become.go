package main

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"syscall"

	"github.com/fstrace/fstrace/ipc"
	"golang.org/x/sys/unix"
)

// An identity is whom a worker is to be.
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

func undumpable() error {
	if err := unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0); err != nil {
		return fmt.Errorf("prctl(PR_SET_DUMPABLE): %w", err)
	}
	return nil
}
