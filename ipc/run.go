package ipc

import (
	"bytes"
	"fmt"
	"os"
	"strconv"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"github.com/fstrace/fstrace/tracer"
)

// highestDescriptor is the largest number that a descriptor may have in a command.
const highestDescriptor = 1<<16 - 1

// methodRun runs a command for a client, and follows it.
func (s *Server) methodRun(r *request) error {
	var p wireRun
	if err := decodeParameters(r.Parameters, &p); err != nil {
		return err
	}
	if p.Options == nil {
		p.Options = &Options{}
	}
	v, err := p.Options.view()
	if err != nil {
		return err
	}
	if err := r.reserve(v); err != nil {
		return err
	}
	n, err := s.start(r, &p)
	if err != nil {
		return err
	}
	r.releaseMessage()
	defer n.leave()
	if r.reader != nil {
		defer r.reader.close()
	}
	if !r.awaitStart(n) {
		return varlink.ErrBrokenOff
	}
	n.mu.Lock()
	err = n.startErr
	n.mu.Unlock()
	if err != nil {
		return asError(err)
	}
	n.logStart(r)
	switch {
	case r.More:
		if p.Options.Events != nil && !*p.Options.Events {
			v = nil
		}
		err = r.stream(n, v)
	case p.Options.Detach:
		return r.reply(n.first())
	default:
		err = r.awaitEnd(n)
	}
	if err != nil && !n.detached && !n.isDone() {
		s.config.Log.Info("client gone", "session", n.id(), "pid", r.peer.PID)
		n.cancel(s.config.Grace)
	}
	return err
}

// awaitStart waits until the command has been started. If the client disconnects before,
// awaitStart cancels the session, unless it is detached, and returns false.
func (r *request) awaitStart(n *session) bool {
	select {
	case <-n.started:
		return true
	case <-r.gone:
	}
	if n.detached {
		<-n.started
		return true
	}
	n.cancel(r.server.config.Grace)
	return false
}

// start makes a session of a request and starts it. The caller must call leave on the
// session.
func (s *Server) start(r *request, p *wireRun) (*session, error) {
	cmd, err := p.command()
	if err != nil {
		return nil, err
	}
	n := &session{
		server: s, label: p.Options.Label, detached: p.Options.Detach, started: make(chan struct{}), done: make(chan struct{}),
	}
	if err := s.registry.reserve(n); err != nil {
		return nil, err
	}
	fail := func(err error) (*session, error) {
		s.registry.forget(n)
		n.keepMemory(0)
		varlink.CloseAll(n.files)
		n.closeLaunch()
		return nil, err
	}
	if err := n.takeMemory(memoryOf(cmd.Args, cmd.Env)); err != nil {
		return fail(err)
	}
	if err := n.takeFiles(r, p, cmd); err != nil {
		return fail(err)
	}
	if n.spool, err = newSpool(s.config.Spool, s.spools); err != nil {
		return fail(asError(err))
	}
	if cmd.Sink, err = s.sink(n, p.Options, cmd); err != nil {
		_, _ = n.spool.seal()
		n.spool.close()
		return fail(err)
	}
	cmd.Spare = &s.spare
	n.cmd = s.config.newCommand(cmd)
	if r.More && (p.Options.Events == nil || *p.Options.Events) {
		if r.reader, _, err = n.spool.follow(0); err != nil { // from the first on
			return fail(asError(err))
		}
	}
	n.subscribe() // before it can have ended
	r.hold(n)
	go n.run()
	return n, nil
}

// sink returns the sink for the record and, if requested, the manifest.
func (s *Server) sink(n *session, o *Options, cmd *tracer.Cmd) (events.Sink, error) {
	sink, err := events.Filter(newRecorder(n, n.spool), o.Only, o.Ignore)
	if err != nil {
		return nil, asError(err)
	}
	sink = counting{sink, func() { s.events.Add(1) }}
	if !o.Manifest {
		return sink, nil
	}
	n.manifest = new(bytes.Buffer)
	m, err := manifest.NewRecorder(n.manifest, manifest.Options{
		Cache: s.config.Cache, Root: o.Root, Only: o.Only, Ignore: o.Ignore, Record: o.Record,
		Compact: o.Compact, EnvironmentValues: o.EnvValues,
	})
	if err != nil {
		return nil, asError(err)
	}
	cmd.Guard, n.abandon = m.Guard, m.Abandon
	m.Served(cmd.Served)
	return both{m, sink}, nil
}

// takeFiles gives the command the descriptors that came with the message.
func (s *session) takeFiles(r *request, p *wireRun, c *tracer.Cmd) error {
	if p.Launched != nil {
		return s.adopt(r, p.Launched, c)
	}
	c.Descriptors = make(map[int]int)
	for i, d := range p.Descriptors {
		_, twice := c.Descriptors[d.Number]
		fd, ok := r.takeFile(d.Index)
		if ok {
			s.files = append(s.files, fd)
		}
		if !ok || twice || d.Number < 0 || d.Number > highestDescriptor {
			return invalidParameter(fmt.Sprintf("descriptors[%d]", i))
		}
		c.Descriptors[d.Number] = fd
	}
	return nil
}

// adopt takes over a process that the client has launched.
func (s *session) adopt(r *request, l *wireLaunched, c *tracer.Cmd) error {
	if l.Version != tracer.LaunchVersion {
		return newError(ErrLaunchVersion, "version", l.Version, "wanted", tracer.LaunchVersion)
	}
	mask, maskErr := strconv.ParseUint(l.Mask, 16, 64)
	ignored, ignoredErr := strconv.ParseUint(l.Ignored, 16, 64)
	if maskErr != nil || ignoredErr != nil {
		return invalidParameter("launched")
	}
	control, ok := r.takeFile(l.Control)
	if !ok {
		return invalidParameter("launched.control")
	}
	controlFile := os.NewFile(uintptr(control), "control")
	process, ok := r.takeFile(l.Process)
	if !ok {
		controlFile.Close()
		return invalidParameter("launched.process")
	}
	processFile := os.NewFile(uintptr(process), "process")
	var outerFile *os.File
	if l.Outer != nil {
		outer, ok := r.takeFile(*l.Outer)
		if !ok {
			controlFile.Close()
			processFile.Close()
			return invalidParameter("launched.outer")
		}
		outerFile = os.NewFile(uintptr(outer), "outer")
	}
	launch, err := tracer.Adopted(controlFile, processFile, outerFile, r.peer.PID, r.peer.UID)
	if err != nil {
		controlFile.Close()
		processFile.Close()
		if outerFile != nil {
			outerFile.Close()
		}
		return asError(err)
	}
	launch.Mask, launch.Ignored = mask, ignored
	s.launch, c.Adopt, c.Setsid, c.Umask = launch, launch, false, nil
	return nil
}
