package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/fstrace/fstrace/ipc"
)

// Other users are served by processes of theirs: a worker has the peer's uid, gid and
// groups, and no privileges. It runs their commands, looks at their files, hashes and
// compares with their permissions, so that the daemon reveals nothing that users could
// not read themselves. All that root's daemon does for them is to pass on their
// connections, from which it has read nothing.
//
// A worker is its user's process: the user can stop it, kill it, or keep it busy. So
// nothing here waits for a worker without a deadline, and nothing that may wait holds
// what other users need. A worker is not dumpable (become), which keeps its user from
// the descriptors and the memory that it has.
//
// Workers die with their daemon, and commands with their workers.
type workers struct {
	flags   *flags
	log     *slog.Logger
	allowed []int

	mu    sync.Mutex
	users map[int]*userWorkers
	ended bool
}

// userWorkers are the workers of one user: one for each set of groups with which the
// user has connected.
type userWorkers struct {
	mu       sync.Mutex
	byGroups map[string]*worker
	later    time.Time // no worker is started before
}

const (
	// workersOfUser is how many workers a user may have at once.
	workersOfUser = 8
	// passTime is how long a worker may take to take a connection.
	passTime = 5 * time.Second
	// obeyTime is how long a worker may take to say that it has got the signal to end.
	obeyTime = 10 * time.Second
	// shortLife is too short a life for a worker: one that ends before keeps its user
	// waiting for as long, so that starting workers is not all that the daemon does.
	shortLife = time.Second
)

func newWorkers(f *flags, log *slog.Logger) *workers {
	return &workers{flags: f, log: log, allowed: f.allowUIDs, users: make(map[int]*userWorkers)}
}

// take passes a connection on to the worker for its peer.
func (w *workers) take(conn *net.UnixConn, p ipc.Peer) error {
	if !slices.Contains(w.allowed, p.UID) {
		return fmt.Errorf("this fstraced does not serve uid %d (--allow-uid)", p.UID)
	}
	w.mu.Lock()
	if w.ended {
		w.mu.Unlock()
		return errors.New("fstraced is shutting down")
	}
	u := w.users[p.UID]
	if u == nil {
		u = &userWorkers{byGroups: make(map[string]*worker)}
		w.users[p.UID] = u
	}
	w.mu.Unlock()
	for range 2 {
		passed, err := w.enqueue(u, conn, p)
		if err != nil {
			return err
		}
		if err = <-passed; err == nil {
			return conn.Close()
		}
		if !errors.Is(err, errWorkerGone) {
			return fmt.Errorf("the worker for uid %d does not take the connection (is it stopped?): %w", p.UID, err)
		}
	}
	return fmt.Errorf("the workers for uid %d keep ending", p.UID)
}

// enqueue has a connection passed to the worker for its peer, which is started if there
// is none. The channel says what became of it, within passTime.
func (w *workers) enqueue(u *userWorkers, conn *net.UnixConn, p ipc.Peer) (<-chan error, error) {
	who := fmt.Sprint(p.GID, p.Groups)
	u.mu.Lock()
	defer u.mu.Unlock()
	of := u.byGroups[who]
	if of == nil {
		switch {
		case w.isEnded():
			return nil, errors.New("fstraced is shutting down")
		case len(u.byGroups) >= workersOfUser:
			return nil, fmt.Errorf("uid %d already has %d workers, one for each set of groups, which is the limit", p.UID, workersOfUser)
		case time.Now().Before(u.later):
			return nil, fmt.Errorf("the worker for uid %d ended at once: try again", p.UID)
		}
		var err error
		if of, err = w.start(p); err != nil {
			return nil, fmt.Errorf("start a worker: %w", err)
		}
		for _, other := range u.byGroups {
			if err := link(of, other); err != nil {
				w.log.Warn("workers of one user do not see each other's sessions", "uid", p.UID, "error", err)
			}
		}
		u.byGroups[who] = of
		go w.follow(u, who, of)
	}
	result, ok := of.enqueue(passConnection, conn)
	if !ok {
		return nil, fmt.Errorf("%d connections already wait for the worker for uid %d: is it stopped?", cap(of.queue), p.UID)
	}
	return result, nil
}

func (w *workers) isEnded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.ended
}

// follow follows a worker to its end: it dismisses one that says that it is idle.
func (w *workers) follow(u *userWorkers, who string, of *worker) {
	go of.listen(func(received uint64) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if received == of.passed { // nothing is on the way
			delete(u.byGroups, who)
			of.dismiss()
		}
	})
	<-of.gone
	w.log.Info("worker ended", "uid", of.uid, "pid", of.process.Pid, "state", of.state)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.byGroups[who] == of {
		delete(u.byGroups, who)
		if time.Since(of.began) < shortLife {
			u.later = time.Now().Add(shortLife)
		}
	}
}

// end ends the workers, and waits for them. Once ctx is done they get SIGTERM again, to
// cancel what they run.
func (w *workers) end(ctx context.Context) {
	w.mu.Lock()
	w.ended = true
	users := w.users
	w.mu.Unlock()
	var wait sync.WaitGroup
	for _, u := range users {
		u.mu.Lock()
		for _, of := range u.byGroups {
			wait.Go(func() { of.end(ctx, w.flags, w.log) })
		}
		u.mu.Unlock()
	}
	wait.Wait()
}
