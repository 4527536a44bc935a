package manifest

import (
	"cmp"
	"context"
	"io"
	"slices"
	"sync/atomic"
	"time"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// A Recorder is an [events.Sink] that writes a manifest at the end of the record. A
// Recorder is for one session. Guard may be called concurrently with all other methods;
// the other methods must not be called concurrently.
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
	listings     *listings
	m            *Manifest

	// hashing is done when no more files are to be read: Abandon.
	hashing context.Context
	abandon context.CancelCauseFunc
	ending  atomic.Int64 // since when End runs, in nanoseconds since 1970; 0 before
}

// Options are the options of a [Recorder]. The zero value is valid.
type Options struct {
	// Cache has hashes of unchanged files; nil means that all files are hashed.
	Cache *Cache
	// Root is the directory below which paths in the document are relative to it; ""
	// means none. It must be absolute and must not contain symbolic links.
	Root string
	// Only and Ignore select what is in the manifest, with the patterns of
	// [events.Filter].
	Only, Ignore []string
	// EnvironmentValues includes the values of the environment, not only their digests.
	EnvironmentValues bool
	// Compact omits processes and accesses, which explain a manifest.
	Compact bool
	// Record is the file to which the manifest will be written; "" means none.
	Record string
}

// NewRecorder returns a recorder that writes the document to w in End. It returns an
// error if a pattern is malformed. The caller closes w.
func NewRecorder(w io.Writer, o Options) (*Recorder, error) {
	slow := &slowFS{fileSystem: newOSFS(), wait: lookPatience}
	r, err := newRecorder(w, o, slow, time.Now)
	if err == nil {
		r.slow, r.watch = slow, newWatcher(slow.isServed)
	}
	return r, err
}

// Served sets a function that reports whether a path is on a file system that may not
// answer, because a process of the session serves it. The function must be safe for
// concurrent use. Served must be called before Begin.
func (r *Recorder) Served(served func(path string) bool) { r.slow.served = served }

func newRecorder(w io.Writer, o Options, fs fileSystem, now func() time.Time) (*Recorder, error) {
	p, err := newPatterns(o.Only, o.Ignore)
	if err != nil {
		return nil, err
	}
	r := &Recorder{w: w, options: o, fs: fs, now: now, patterns: p}
	r.hashing, r.abandon = context.WithCancelCause(context.Background())
	r.hasher = newHasher(contextFS{fs, r.hashing}, o.Cache, now)
	r.fold = newFold(fs, r.hasher, now)
	r.listings = r.fold.listings
	return r, nil
}

// Begin starts the recorder: it stores what the command is, and starts goroutines that
// hash files. End or Close must be called later.
func (r *Recorder) Begin(h *events.Header) error {
	r.hasher.start()
	go castagnoli() // so that the end need not wait for it
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

// Event processes one event. It leaves out that a fstrace inside of the session opens the
// cache of this one: what is in it does not matter to anybody.
func (r *Recorder) Event(e *events.Event) error {
	if r.options.Cache.isWriting(e.Op, &e.Info) {
		return nil
	}
	r.watch.event()
	r.fold.event(e)
	return nil
}

// Guard must be called before a call is continued that may modify the regular file at
// path, change its times, replace or remove it, or that may do so with a symbolic link.
// info is what lstat(2) returns for path; if it is not Known, the call may create
// something there. When Guard returns, the old content is known or not needed. It may
// block while it hashes a large file.
//
// op is OpWrite if the call opens the file for writing, OpDelete if it removes the file,
// OpRename if it renames the file, OpCreate if it renames another file to path, and any
// other operation for other changes, creation included. Guard must also be called for
// directories that are removed or renamed, and with OpList for those that are listed. Of
// a rename, the calls with OpCreate come first.
//
// Guard must be called at least as often as the session opens files for writing, renames
// and removes them. The recorder attributes further changes to other processes.
func (r *Recorder) Guard(op events.Op, path string, info events.FileInfo) {
	if isVolatile(path) || r.options.Cache.isWriting(op, &info) {
		return
	}
	named := op != events.OpWrite || !info.Known()
	if r.listings.guard(op, path, &info, info.Mode&unix.S_IFMT == unix.S_IFDIR && !r.hasher.owns(path), named); op == events.OpList {
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

// Incomplete returns the reasons why the manifest is incomplete. It returns nil before
// End.
func (r *Recorder) Incomplete() []events.Incomplete {
	if r.m == nil {
		return nil
	}
	return r.m.Incomplete
}

// Close stops the goroutines of a recorder for which Begin was called and End was not. It
// may be called after End, too.
func (r *Recorder) Close() {
	r.hasher.close()
	r.watch.close()
}

// Abandon makes a running End stop reading files and return cause; nothing is written
// then. It has no effect at another time: what changes files waits for their hashes. It
// may be called concurrently with all other methods.
func (r *Recorder) Abandon(cause error) {
	if r.ending.Load() != 0 {
		r.abandon(cause)
	}
}

// Ending returns how long ago End was called, 0 if it was not. It may be called
// concurrently with all other methods.
func (r *Recorder) Ending() time.Duration {
	if since := r.ending.Load(); since != 0 {
		return time.Since(time.Unix(0, since))
	}
	return 0
}

// End looks at what the session left behind, and writes the manifest. It returns the
// error of the writer, or the cause given to Abandon.
func (r *Recorder) End(t *events.Trailer) error {
	r.ending.Store(time.Now().UnixNano())
	r.hasher.close()
	r.fold.forgetLast()
	x := r.outcome()
	x.look()
	x.strangers(r.watch)
	all := x.fold.paths.sorted(func(o *origin) bool { return o.isInput() || o.accesses != 0 })
	x.inputs(all)
	if r.slow != nil {
		x.fold.gaps = append(x.fold.gaps, r.slow.gap()...)
	}
	x.finish(t, r.patterns)
	if r.patterns != nil {
		all = slices.DeleteFunc(all, func(o *origin) bool { return !r.patterns.reports(o.path()) })
	}
	if r.options.Compact {
		x.m.Processes, x.m.ForgottenProcesses, x.compact = nil, 0, true
	}
	if cause := context.Cause(r.hashing); cause != nil {
		return cause
	}
	r.m, r.fold = x.m, nil
	return x.encode(r.w, all)
}

func (r *Recorder) outcome() *outcome {
	return &outcome{
		fold: r.fold, fs: contextFS{r.fold.fs, r.hashing}, hasher: r.fold.hasher, patterns: &lockedPatterns{patterns: r.patterns},
		m: &Manifest{
			Session: r.header.Session, Argv: r.header.Argv, Cwd: r.header.Cwd, Surroundings: r.surroundings,
			Root: r.options.Root, Only: r.options.Only, Ignore: r.options.Ignore, Record: r.options.Record,
		},
		begin: r.begin, outputs: make(map[string]*output), removed: make(map[string]bool), remained: make(map[*node]bool),
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
		if at := x.fold.paths.find(out.Path); at != nil {
			out.Ops = at.accessed.list()
		}
		x.tellOutput(out)
		out.Before = x.before(out.Path)
		m.Outputs = append(m.Outputs, out.Entry)
	}
	for path := range x.removed {
		m.Removed = append(m.Removed, path)
	}
	for path := range x.fold.volatile {
		m.Volatile = append(m.Volatile, path)
	}
	x.renamings()
	x.tellForgotten()
	m.External = x.fold.external.sorted()
	m.Incomplete = x.incomplete(t)
	m.Processes, m.ForgottenProcesses = x.fold.processes.list, x.fold.processes.forgotten
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
	inputs := rows{len(paths), func(p *piece, i int) {
		if o := paths[i]; o.isTold() {
			e := o.entry(p)
			m.addEntry(p, &e)
		}
	}}
	explained := len(paths)
	if x.compact {
		explained = 0
	}
	accesses := rows{explained, func(p *piece, i int) {
		for a := range x.fold.accesses.by(paths[i], p.paths.passing(paths[i])) {
			p.rows = m.appendAccess(p.rows, &a)
		}
	}}
	return m.encode(w, inputs, accesses)
}

// renamings lists what was there before and is now elsewhere.
func (x *outcome) renamings() {
	seen := make(map[Renaming]bool)
	for _, r := range x.fold.renamed {
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
