package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"sync"

	"github.com/fstrace/fstrace/cmd/internal/commandline"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/ipc"
	"github.com/fstrace/fstrace/tracer"
	"golang.org/x/sys/unix"
)

// ballast is what the garbage may amount to before it is collected, at least. A Run makes
// 0.25 MB of it, and the collector would start every few runs.
const ballast = 16 << 20

// serve is the daemon's life.
func serve(f *flags) error {
	level, err := f.check()
	if err != nil {
		return err
	}
	if f.worker != "" {
		who, err := parseIdentity(f.worker)
		if err != nil {
			return err
		}
		if err := who.become(); err != nil {
			return fmt.Errorf("become uid %d: %w", who.uid, err)
		}
	}
	keepDescriptors()
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: level}))
	profiles, err := servePprof(f.pprof)
	if err != nil {
		return err
	}
	defer profiles.Close()
	l, name, err := f.listen() // last: who can connect finds everything else there
	if err != nil {
		return err
	}
	defer l.Close()
	config := ipc.Config{
		Version: commandline.Version(), Socket: name, Limits: f.limits, Spool: f.spoolDir, Grace: f.grace, DrainTime: f.drainTime,
		Cache: manifest.UserCache(), Log: log,
		Ballast: make([]byte, ballast),
	}
	if config.Spool, err = realSpool(f.spoolDir); err != nil {
		return err
	}
	var others *workers
	if len(f.allowUIDs) > 0 {
		others = newWorkers(f, log)
		config.Other = others.take
	}
	server := ipc.NewServer(config)
	daemon, _ := l.(*handedOver) // nil in the daemon itself
	if daemon != nil {
		daemon.link = func(channel *net.UnixConn) { go serveLink(server, channel) }
	}
	log.Info("serving", "socket", name, "pid", os.Getpid(), "version", config.Version)

	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	if err := f.awaitEnd(server, served, daemon, log); err != nil {
		return err
	}
	if daemon != nil {
		daemon.sayEnding()
	}
	f.shutDown(server, others, log)
	log.Info("ended")
	return nil
}

// keepDescriptors keeps from commands what the daemon happened to be started with.
func keepDescriptors() {
	kept, err := tracer.KeptDescriptors()
	if err != nil {
		return // no /proc: no command will be run
	}
	for _, fd := range kept {
		if fd > 2 {
			unix.CloseOnExec(fd)
		}
	}
}

// awaitEnd returns when the daemon must end: after a signal, or when it is idle.
func (f *flags) awaitEnd(server *ipc.Server, served <-chan error, daemon *handedOver, log *slog.Logger) error {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	if daemon != nil {
		go daemon.sayIdle(ctx, server, f.workerIdle)
	}
	idle := make(chan struct{})
	if f.idleExit > 0 {
		go func() {
			if server.AwaitIdle(ctx, f.idleExit) == nil {
				close(idle)
			}
		}()
	}
	select {
	case <-ctx.Done():
		log.Info("ending: signalled", "drain", f.drain)
	case <-idle:
		log.Info("ending: idle", "for", f.idleExit)
	case err := <-served:
		if errors.Is(err, errDismissed) {
			log.Info("ending: idle", "for", f.workerIdle)
			return nil
		}
		if errors.Is(err, io.EOF) {
			return errors.New("the daemon of this worker has ended")
		}
		return err
	}
	return nil
}

// shutDown ends what runs. Another signal hurries it.
func (f *flags) shutDown(server *ipc.Server, others *workers, log *slog.Logger) {
	ctx, stop := signal.NotifyContext(context.Background(), unix.SIGTERM, unix.SIGINT, unix.SIGHUP)
	defer stop()
	defer context.AfterFunc(ctx, func() { log.Info("cancelling what still runs") })()
	var wait sync.WaitGroup
	if others != nil {
		wait.Go(func() { others.end(ctx) })
	}
	server.Shutdown(ctx, f.drain == "cancel")
	wait.Wait()
}
