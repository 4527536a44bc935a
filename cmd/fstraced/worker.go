package main

import (
	"context"
	"encoding/binary"
	"errors"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"os/user"
	"strconv"
	"sync"
	"syscall"
	"time"

	"github.com/fstrace/fstrace/ipc"
	"golang.org/x/sys/unix"
)

// A worker is the process for one user, as a member of certain groups, seen from the
// daemon.
type worker struct {
	uid     int
	process *os.Process
	channel *net.UnixConn
	began   time.Time
	queue   chan handover
	passed  uint64 // connections that were put into the queue; the user's mutex is held

	once   sync.Once
	ending chan struct{} // the worker says that it ends
	gone   chan struct{} // the process has ended
	state  *os.ProcessState
}

// A handover is a connection that is to be passed on, or a link to another worker.
type handover struct {
	kind   byte
	conn   *net.UnixConn
	until  time.Time
	result chan error
}

// errWorkerGone says that a connection was not passed on because the worker has ended.
var errWorkerGone = errors.New("the worker has ended")

// waitingConnections is how many connections may wait for a worker, beside those that
// its channel holds.
const waitingConnections = 256

// start starts the worker for a peer. It is root until it has made itself undumpable.
func (w *workers) start(p ipc.Peer) (*worker, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
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
	// Its log comes by a pipe: root's standard error may be a terminal, or a file that
	// is not for other users.
	said, stderr, err := os.Pipe()
	if err != nil {
		conn.Close()
		return nil, err
	}
	defer stderr.Close()
	cmd := &exec.Cmd{
		Path: "/proc/self/exe", Args: append([]string{"fstraced"}, w.flags.forWorker(p)...),
		Env: workerEnv(p.UID), Dir: "/", Stderr: stderr, ExtraFiles: []*os.File{theirs},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true}, // the terminal's signals are for the daemon, which passes them on
	}
	if err := cmd.Start(); err != nil {
		conn.Close()
		said.Close()
		return nil, err
	}
	of := &worker{
		uid: p.UID, process: cmd.Process, channel: conn.(*net.UnixConn), began: time.Now(),
		queue: make(chan handover, waitingConnections), ending: make(chan struct{}), gone: make(chan struct{}),
	}
	w.log.Info("worker", "uid", p.UID, "pid", cmd.Process.Pid)
	go relayLog(os.Stderr, said, p.UID, cmd.Process.Pid)
	go of.pass()
	go func() {
		_ = cmd.Wait() // the state has it
		of.state = cmd.ProcessState
		close(of.gone)
		of.channel.Close()
	}()
	return of, nil
}

// enqueue has a connection, or a link, passed on. The user's mutex is held.
func (of *worker) enqueue(kind byte, conn *net.UnixConn) (<-chan error, bool) {
	item := handover{kind, conn, time.Now().Add(passTime), make(chan error, 1)}
	select {
	case of.queue <- item:
		of.passed++
		return item.result, true
	default:
		return nil, false
	}
}

// link connects two workers of one user, so that each can pass on to the other what is
// asked about its sessions. The user's mutex is held.
func link(a, b *worker) error {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	for i, of := range []*worker{a, b} {
		file := os.NewFile(uintptr(pair[i]), "link")
		conn, connErr := net.FileConn(file)
		file.Close()
		if connErr != nil {
			err = errors.Join(err, connErr)
			continue
		}
		end := conn.(*net.UnixConn) // it is
		result, ok := of.enqueue(passLink, end)
		if !ok {
			end.Close()
			err = errors.Join(err, errWorkerGone)
			continue
		}
		go func() {
			<-result // what became of it does not matter: the other end closes
			end.Close()
		}()
	}
	return err
}

// pass passes connections on, until the worker has ended.
func (of *worker) pass() {
	for {
		select {
		case item := <-of.queue:
			item.result <- of.send(item)
		case <-of.gone:
			for {
				select {
				case item := <-of.queue:
					item.result <- errWorkerGone
				default:
					return
				}
			}
		}
	}
}

// send sends a connection to the worker.
func (of *worker) send(item handover) error {
	if err := of.channel.SetWriteDeadline(item.until); err != nil {
		return errWorkerGone
	}
	raw, err := item.conn.SyscallConn()
	if err != nil {
		return err
	}
	controlErr := raw.Control(func(fd uintptr) {
		_, _, err = of.channel.WriteMsgUnix([]byte{item.kind}, unix.UnixRights(int(fd)), nil)
	})
	if err = errors.Join(err, controlErr); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		return errWorkerGone
	}
	return err
}

// listen hears what the worker says: that it is idle, with the number of connections
// that it has received, or that it ends.
func (of *worker) listen(idle func(received uint64)) {
	b := make([]byte, 16)
	for {
		n, err := of.channel.Read(b)
		if err != nil || n == 0 {
			return
		}
		switch {
		case b[0] == sayIdle && n == 9:
			idle(binary.BigEndian.Uint64(b[1:]))
		case b[0] == sayEnding:
			of.once.Do(func() { close(of.ending) })
		}
	}
}

// dismiss has an idle worker end: it reads the end of the channel.
func (of *worker) dismiss() { _ = of.channel.CloseWrite() }

// end ends the worker, by force if it does not obey: a user can stop his worker at any
// time, and the daemon must end all the same.
func (of *worker) end(ctx context.Context, f *flags, log *slog.Logger) {
	drain := f.drainTime
	if f.drain == "cancel" {
		drain = 0
	}
	of.tell()
	obeys := of.await(of.ending, obeyTime) && of.await(ctx.Done(), drain+f.grace+3*passTime)
	if obeys && ctx.Err() != nil {
		of.tell()
		obeys = of.await(nil, f.grace+3*passTime)
	}
	if obeys {
		return
	}
	log.Warn("worker does not end by SIGTERM: killed", "uid", of.uid, "pid", of.process.Pid)
	of.signal(unix.SIGKILL)
	if !of.await(nil, passTime) { // it hangs in the kernel
		log.Error("worker does not end by SIGKILL", "uid", of.uid, "pid", of.process.Pid)
	}
}

// tell sends the worker a signal to end, or to cancel what runs.
func (of *worker) tell() {
	of.signal(unix.SIGTERM)
	of.signal(unix.SIGCONT)
}

// await waits for the worker's end, or for something else. It reports whether one of
// the two came within the limit.
func (of *worker) await(or <-chan struct{}, limit time.Duration) bool {
	over := time.NewTimer(limit)
	defer over.Stop()
	select {
	case <-of.gone:
		return true
	case <-or:
		return true
	case <-over.C:
		return false
	}
}

func (of *worker) signal(sig syscall.Signal) { _ = of.process.Signal(sig) } // it may have ended

// forWorker are the flags that a worker gets.
func (f *flags) forWorker(p ipc.Peer) []string {
	return []string{
		"--worker=" + identityOf(p).String(), "--drain=" + f.drain, "--drain-time=" + f.drainTime.String(), "--grace=" + f.grace.String(),
		"--max-sessions=" + strconv.Itoa(f.limits.Sessions), "--max-connections=" + strconv.Itoa(f.limits.Connections),
		"--max-descriptors=" + strconv.Itoa(f.limits.Descriptors), "--max-message=" + strconv.Itoa(f.limits.MessageBytes),
		"--max-memory=" + strconv.FormatInt(f.limits.MemoryBytes, 10),
		"--retain-sessions=" + strconv.Itoa(f.limits.RetainSessions), "--retain-time=" + f.retainTime.String(),
		"--spool-bytes=" + strconv.FormatInt(f.limits.SpoolBytes, 10), "--spool-dir=" + f.spoolDir, "--log-level=" + f.logLevel,
		"--worker-idle=" + f.workerIdle.String(),
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
