package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"slices"
	"strconv"
	"sync"
	"syscall"

	"github.com/fstrace/fstrace/ipc"
	"golang.org/x/sys/unix"
)

// Other users are served by processes of theirs: a worker has the peer's uid, gid and
// groups, and no privileges. It runs their commands, looks at their files, hashes and
// compares with their permissions, so that nobody learns by root's daemon what he could
// not learn by himself. All that root's daemon does for them is to pass on their
// connections, which nothing has been read from.
//
// Workers die with their daemon, and commands with their workers.
type workers struct {
	flags   *flags
	log     *slog.Logger
	allowed []int

	mu    sync.Mutex
	byWho map[string]*worker
	ended bool
	wait  sync.WaitGroup
}

// A worker is the process for one user, as a member of certain groups.
type worker struct {
	process *os.Process
	conn    *net.UnixConn // connections go through here
}

func newWorkers(f *flags, log *slog.Logger) *workers {
	return &workers{flags: f, log: log, allowed: f.allowUIDs, byWho: make(map[string]*worker)}
}

// take passes a connection on to the worker for its peer.
func (w *workers) take(conn *net.UnixConn, p ipc.Peer) error {
	if !slices.Contains(w.allowed, p.UID) {
		return fmt.Errorf("this fstraced does not serve uid %d (--allow-uid)", p.UID)
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ended {
		return errors.New("fstraced is ending")
	}
	who := fmt.Sprint(p.UID, p.GID, p.Groups)
	for range 2 {
		of := w.byWho[who]
		if of == nil {
			var err error
			if of, err = w.start(who, p); err != nil {
				return fmt.Errorf("start a worker: %w", err)
			}
			w.byWho[who] = of
		}
		err := of.pass(conn)
		if err == nil {
			return conn.Close()
		}
		w.log.Warn("worker gone", "uid", p.UID, "error", err)
		of.conn.Close()
		delete(w.byWho, who)
	}
	return errors.New("the worker for this user does not stay")
}

// pass sends a connection to the worker.
func (w *worker) pass(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) {
		_, _, err = w.conn.WriteMsgUnix([]byte{0}, unix.UnixRights(int(fd)), nil)
	})
	return errors.Join(err, controlErr)
}

// start starts the worker for a peer. The caller holds mu.
func (w *workers) start(who string, p ipc.Peer) (*worker, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	theirs := os.NewFile(uintptr(pair[1]), "worker")
	defer theirs.Close()
	ours := os.NewFile(uintptr(pair[0]), "worker")
	conn, err := net.FileConn(ours)
	ours.Close()
	if err != nil {
		return nil, err
	}
	groups := make([]uint32, len(p.Groups))
	for i, g := range p.Groups {
		groups[i] = uint32(g)
	}
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{"fstraced"}, w.flags.forWorker()...),
		Env: workerEnv(p.UID), Dir: "/", Stderr: os.Stderr, ExtraFiles: []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{
			Credential: &syscall.Credential{Uid: uint32(p.UID), Gid: uint32(p.GID), Groups: groups},
			Setsid:     true, // the terminal's signals are for the daemon, which passes them on
		},
	}
	if err := cmd.Start(); err != nil {
		conn.Close()
		return nil, err
	}
	w.log.Info("worker", "uid", p.UID, "pid", cmd.Process.Pid)
	w.wait.Go(func() {
		err := cmd.Wait()
		w.log.Info("worker ended", "uid", p.UID, "pid", cmd.Process.Pid, "error", err)
	})
	return &worker{cmd.Process, conn.(*net.UnixConn)}, nil
}

// workerSocket is the number of the worker's channel.
const workerSocket = 3

// forWorker are the flags that a worker gets.
func (f *flags) forWorker() []string {
	return []string{
		"--worker", "--drain=" + f.drain, "--grace=" + f.grace.String(),
		"--max-sessions=" + strconv.Itoa(f.limits.Sessions), "--max-connections=" + strconv.Itoa(f.limits.Connections),
		"--max-descriptors=" + strconv.Itoa(f.limits.Descriptors), "--max-message=" + strconv.Itoa(f.limits.MessageBytes),
		"--retain-sessions=" + strconv.Itoa(f.limits.RetainSessions), "--retain-time=" + f.retainTime.String(),
		"--spool-bytes=" + strconv.FormatInt(f.limits.SpoolBytes, 10), "--spool-dir=" + f.spoolDir, "--log-level=" + f.logLevel,
	}
}

// workerEnv is a worker's own environment: nothing of root's.
func workerEnv(uid int) []string {
	env := []string{"PATH=/usr/local/bin:/usr/bin:/bin"}
	if u, err := user.LookupId(strconv.Itoa(uid)); err == nil {
		env = append(env, "HOME="+u.HomeDir, "USER="+u.Username)
	}
	return env
}

// end ends the workers, and waits for them. Once ctx is done they are told again, to
// cancel what they run.
func (w *workers) end(ctx context.Context) {
	w.mu.Lock()
	w.ended = true
	w.mu.Unlock()
	w.signal()
	stop := context.AfterFunc(ctx, w.signal)
	defer stop()
	w.wait.Wait()
}

func (w *workers) signal() {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, of := range w.byWho {
		_ = of.process.Signal(unix.SIGTERM) // it may have ended
	}
}

// handedOver are the connections that a worker is passed.
type handedOver struct{ conn *net.UnixConn }

func newHandedOver(fd int) (*handedOver, error) {
	unix.CloseOnExec(fd)
	file := os.NewFile(uintptr(fd), "worker")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, fmt.Errorf("worker: %w", err)
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		return nil, errors.New("worker: not a Unix socket")
	}
	return &handedOver{unixConn}, nil
}

// AcceptUnix returns the next connection, io.EOF when the daemon has ended.
func (h *handedOver) AcceptUnix() (*net.UnixConn, error) {
	var b [1]byte
	oob := make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := h.conn.ReadMsgUnix(b[:], oob)
	if err != nil {
		return nil, err
	}
	if n == 0 {
		return nil, io.EOF
	}
	messages, err := unix.ParseSocketControlMessage(oob[:oobn])
	if err != nil || len(messages) != 1 {
		return nil, errors.New("worker: no connection came")
	}
	files, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(files) != 1 {
		return nil, errors.New("worker: no connection came")
	}
	file := os.NewFile(uintptr(files[0]), "connection")
	defer file.Close()
	conn, err := net.FileConn(file)
	if err != nil {
		return nil, err
	}
	unixConn, ok := conn.(*net.UnixConn)
	if !ok {
		conn.Close()
		return nil, errors.New("worker: what came is no connection")
	}
	return unixConn, nil
}

// Close ends the accepting.
func (h *handedOver) Close() error { return h.conn.Close() }
