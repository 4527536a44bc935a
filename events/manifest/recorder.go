package manifest

import (
	"cmp"
	"io"
	"slices"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A Recorder is an [events.Sink] that writes a manifest at the end.
type Recorder struct {
	w        io.Writer
	options  Options
	fs       fileSystem
	slow     *slowFS // the same, nil in tests
	now      func() time.Time
	patterns *patterns

	header       events.Header
	surroundings *Surroundings
	begin        time.Time
	hasher       *hasher
	watch        *watcher // nil for none
	fold         *fold
	m            *Manifest
}

// Options of a [Recorder].
type Options struct {
	// Cache spares hashing; nil for none.
	Cache *Cache
	// Root is the directory below which paths are written relative to it: absolute
	// and without symbolic links. "" for none.
	Root string
	// Only and Ignore choose what is in the manifest, as patterns for
	// [events.Filter] do.
	Only, Ignore []string
	// EnvironmentValues asks for the values of the environment, not only for digests.
	EnvironmentValues bool
	// Compact leaves out what explains a manifest: processes and accesses.
	Compact bool
	// Record is the file that the manifest will be in, "" if it has no name.
	Record string
}

// NewRecorder returns a recorder that writes to w. The error is of the patterns.
func NewRecorder(w io.Writer, o Options) (*Recorder, error) {
	slow := &slowFS{fileSystem: newOSFS(), wait: lookPatience}
	r, err := newRecorder(w, o, slow, time.Now)
	if err == nil {
		r.slow, r.watch = slow, newWatcher(slow.isServed)
	}
	return r, err
}

// Served tells the recorder how to find out whether a path is on a file system that may not
// answer, as a process of the session serves it. The function must be safe for concurrent
// use. Served must be called before Begin.
func (r *Recorder) Served(served func(path string) bool) { r.slow.served = served }

func newRecorder(w io.Writer, o Options, fs fileSystem, now func() time.Time) (*Recorder, error) {
	p, err := newPatterns(o.Only, o.Ignore)
	if err != nil {
		return nil, err
	}
	r := &Recorder{w: w, options: o, fs: fs, now: now, patterns: p}
	r.hasher = newHasher(fs, o.Cache, now)
	r.fold = newFold(fs, r.hasher, now)
	return r, nil
}

// Begin takes in what the command is.
func (r *Recorder) Begin(h *events.Header) error {
	r.hasher.start()
	r.begin = r.now()
	r.fold.forgotten.begin = r.begin
	r.header = events.Header{Session: h.Session, Argv: slices.Clone(h.Argv), Cwd: h.Cwd}
	if p := h.Process; p != nil {
		s := surroundings(p, r.options.EnvironmentValues)
		r.surroundings = &s
		for _, source := range inheritedSources(p) {
			r.fold.external.add(source)
		}
	}
	return nil
}

// Event takes in one event.
func (r *Recorder) Event(e *events.Event) error {
	r.watch.event()
	r.fold.event(e)
	return nil
}

// Guard must be called before a call is let through that may change what is in the
// regular file at path or its times, put another in its place, or remove it, or may do
// so with a symbolic link; info is what lstat says of it. When it returns, what the
// file holds is known, or need not be. If info is not Known, the call may make the
// file. It may be called at the same time as the other methods.
//
// op is events.OpWrite if the call opens the file for writing, events.OpDelete if it
// removes it, events.OpRename if it renames it, events.OpCreate if it renames something to
// that path, and another if it changes the file in another way. Guard must also be called
// of directories that are removed or renamed. It must not be called less often than the
// session opens files for writing and renames them: what happens more often was done by
// somebody else.
func (r *Recorder) Guard(op events.Op, path string, info events.FileInfo) {
	if isVolatile(path) {
		return
	}
	switch info.Mode & unix.S_IFMT {
	case unix.S_IFLNK:
		r.hasher.guardLink(path, &info)
	case unix.S_IFREG:
		r.hasher.guard(path, &info)
	default:
		if op == events.OpWrite && !info.Known() {
			r.hasher.own(path, &info)
		}
	}
	r.watch.guard(op, path, &info)
}

// Incomplete returns what the manifest may miss, nil before End.
func (r *Recorder) Incomplete() []events.Incomplete {
	if r.m == nil {
		return nil
	}
	return r.m.Incomplete
}

// Close ends the work of a recorder that has begun and whose End is not called. It
// does no harm after.
func (r *Recorder) Close() {
	r.hasher.close()
	r.watch.close()
}

// End looks at what the session left behind, and writes the manifest.
func (r *Recorder) End(t *events.Trailer) error {
	r.hasher.close()
	r.fold.forgetLast()
	x := r.outcome()
	x.look()
	x.strangers(r.watch)
	all := x.paths.sorted(func(o *origin) bool { return o.isInput() || o.accesses != 0 })
	x.inputs(all)
	if r.slow != nil {
		x.gaps = append(x.gaps, r.slow.gap()...)
	}
	x.finish(t, r.patterns)
	if r.patterns != nil {
		all = slices.DeleteFunc(all, func(o *origin) bool { return !r.patterns.reports(o.path()) })
	}
	if r.options.Compact {
		x.m.Processes, x.m.ForgottenProcesses, x.compact = nil, 0, true
	}
	r.m, r.fold = x.m, nil
	return x.encode(r.w, all)
}

func (r *Recorder) outcome() *outcome {
	return &outcome{
		fold: r.fold, patterns: &lockedPatterns{patterns: r.patterns},
		m: &Manifest{
			Session: r.header.Session, Argv: r.header.Argv, Cwd: r.header.Cwd, Surroundings: r.surroundings,
			Root: r.options.Root, Only: r.options.Only, Ignore: r.options.Ignore, Record: r.options.Record,
		},
		begin: r.begin, outputs: make(map[string]*output), removed: make(map[string]bool),
		carriedAlong: make(map[*origin]*output),
	}
}

// look finds out what is there.
func (x *outcome) look() {
	x.classify()
	x.ways()
	x.survivors()
	x.replaced()
	x.aliases()
	x.describe()
	x.hash()
}

// finish fills in the manifest, but for Inputs and Accesses: they are encoded as they are
// in the paths.
func (x *outcome) finish(t *events.Trailer, p *patterns) {
	m := x.m
	m.Exit = t.Exit
	for _, out := range x.outputs {
		if at := x.paths.find(out.Path); at != nil {
			out.Ops = at.accessed.list()
		}
		x.tellOutput(out)
		out.Before = x.before(out.Path)
		m.Outputs = append(m.Outputs, out.Entry)
	}
	for path := range x.removed {
		m.Removed = append(m.Removed, path)
	}
	for path := range x.volatile {
		m.Volatile = append(m.Volatile, path)
	}
	x.renamings()
	x.tellForgotten()
	m.External = x.external.sorted()
	m.Incomplete = x.incomplete(t)
	m.Processes, m.ForgottenProcesses = x.processes.list, x.processes.forgotten
	m.choose(p)
	m.sort()
	for i := range m.Outputs {
		if o := x.known(m.Outputs[i].Path); o != nil && (o.more.sum != nil || o.more.listing != nil && o.more.listing.hash != "") {
			m.Modified = append(m.Modified, m.Outputs[i].Path)
		}
	}
}

// encode writes the manifest with the inputs among paths, and the accesses by them.
func (x *outcome) encode(w io.Writer, paths []*origin) error {
	m := x.m
	inputs := rows{len(paths), func(b []byte, i int) []byte {
		if o := paths[i]; o.isTold() {
			e := o.entry(o.path())
			b = m.appendEntry(b, &e)
		}
		return b
	}}
	explained := len(paths)
	if x.compact {
		explained = 0
	}
	accesses := rows{explained, func(b []byte, i int) []byte {
		for a := range x.accesses.by(paths[i], paths[i].path()) {
			b = m.appendAccess(b, &a)
		}
		return b
	}}
	return m.encode(w, inputs, accesses)
}

// renamings lists what was there before and is now elsewhere.
func (x *outcome) renamings() {
	seen := make(map[Renaming]bool)
	for _, r := range x.renamed {
		if r.from == nil {
			continue
		}
		to := Renaming{r.from.path(), r.node.path()}
		if r.node.from == r.from && to.To != "" && to.To != to.From && x.outputs[to.To] != nil && !seen[to] {
			seen[to] = true
			x.m.Renamed = append(x.m.Renamed, to)
		}
	}
}

// choose leaves out what the patterns do.
func (m *Manifest) choose(p *patterns) {
	if p == nil {
		return
	}
	hidden := func(path string) bool { return !p.reports(path) }
	m.Outputs = slices.DeleteFunc(m.Outputs, func(e Entry) bool { return hidden(e.Path) })
	m.Removed = slices.DeleteFunc(m.Removed, hidden)
	m.Temporary = slices.DeleteFunc(m.Temporary, hidden)
	m.Volatile = slices.DeleteFunc(m.Volatile, hidden)
	m.Renamed = slices.DeleteFunc(m.Renamed, func(r Renaming) bool { return hidden(r.From) && hidden(r.To) })
}

// sort brings the manifest into its canonical order.
func (m *Manifest) sort() {
	sortEntries(m.Inputs)
	sortEntries(m.Outputs)
	m.Modified = nil
	for i := range m.Outputs {
		path := m.Outputs[i].Path
		if in := findEntry(m.Inputs, path); in != nil && in.isRead() {
			m.Modified = append(m.Modified, path)
		}
	}
	slices.Sort(m.Removed)
	slices.Sort(m.Temporary)
	slices.SortFunc(m.Forgotten, func(a, b Forgotten) int { return cmp.Compare(a.Dir, b.Dir) })
	for i := range m.Forgotten {
		slices.Sort(m.Forgotten[i].Except)
	}
	slices.Sort(m.Volatile)
	slices.SortFunc(m.Renamed, func(a, b Renaming) int {
		return cmp.Or(cmp.Compare(a.From, b.From), cmp.Compare(a.To, b.To))
	})
	slices.SortStableFunc(m.Accesses, func(a, b Access) int {
		return cmp.Or(cmp.Compare(a.Path, b.Path), cmp.Compare(a.Op, b.Op))
	})
}
