package cache

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// stage makes a file without a name that has the content, on the file system of the path.
// A process that is killed leaves none. Where there are no such files, it has a temporary
// name: open(2), O_TMPFILE.
func (s *staged) stage(store *Disk) error {
	dir := filepath.Dir(s.path)
	for {
		// The command made the directories that are not there. They are on this file
		// system.
		if info, err := os.Lstat(dir); err == nil && info.IsDir() || dir == "/" {
			break
		}
		dir = filepath.Dir(dir)
	}
	fd, err := unix.Open(dir, unix.O_TMPFILE|unix.O_WRONLY|unix.O_CLOEXEC, 0o600)
	switch {
	case err == nil:
		s.file = os.NewFile(uintptr(fd), dir)
	case errors.Is(err, unix.EOPNOTSUPP), errors.Is(err, unix.EISDIR):
		if s.file, err = os.CreateTemp(dir, tempPattern); err != nil {
			return err
		}
		s.temp = s.file.Name()
	default:
		return fmt.Errorf("create a file in %s: %w", dir, err)
	}
	if err := copyBlob(store, s.digest, s.file); err != nil {
		return err
	}
	if err := s.file.Chmod(modeOf(s.mode)); err != nil {
		return err
	}
	if s.mtime.IsZero() {
		return nil
	}
	times := []unix.Timespec{{Nsec: unix.UTIME_OMIT}, unix.NsecToTimespec(s.mtime.UnixNano())}
	return os.NewSyscallError("utimensat", unix.UtimesNanoAt(unix.AT_FDCWD, s.proc(), times, 0))
}

// proc is a name for the file that every process of this user can open: proc_pid_fd(5).
func (s *staged) proc() string { return "/proc/self/fd/" + strconv.Itoa(int(s.file.Fd())) }

// commit gives the file its name, in place of what is there.
func (s *staged) commit(store *Disk) error {
	if s.file == nil {
		if err := s.stage(store); err != nil {
			return err
		}
	}
	defer s.close()
	if s.temp == "" {
		err := unix.Linkat(unix.AT_FDCWD, s.proc(), unix.AT_FDCWD, s.path, unix.AT_SYMLINK_FOLLOW)
		if err == nil {
			return nil
		}
		if !errors.Is(err, unix.EEXIST) {
			return &os.LinkError{Op: "link", Old: "restored file", New: s.path, Err: err}
		}
		temp := tempName(filepath.Dir(s.path))
		if err := unix.Linkat(unix.AT_FDCWD, s.proc(), unix.AT_FDCWD, temp, unix.AT_SYMLINK_FOLLOW); err != nil {
			return &os.LinkError{Op: "link", Old: "restored file", New: temp, Err: err}
		}
		s.temp = temp
	}
	temp := s.temp
	s.temp = ""
	return renameOver(temp, s.path)
}

// close drops the file if it was not committed.
func (s *staged) close() {
	if s.file == nil {
		return
	}
	_ = s.file.Close()
	if s.file = nil; s.temp != "" {
		_ = os.Remove(s.temp)
		s.temp = ""
	}
}

const tempPattern = ".fstrace-cache-*"

// tempName returns a name in dir that nothing else has.
func tempName(dir string) string {
	return filepath.Join(dir, fmt.Sprintf(".fstrace-cache-%d-%d-%d", os.Getpid(), time.Now().UnixNano(), tempNames.next.Add(1)))
}

// tempNames counts the names.
var tempNames = struct{ next *atomic.Uint64 }{new(atomic.Uint64)}
