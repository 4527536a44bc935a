package manifest

import (
	"cmp"
	"errors"
	"sync"
	"time"

	"github.com/fstrace/fstrace/events"
)

// A hasher finds out what files hold, beside the command, or before a call is let
// through that may change them.
//
// What is wanted of a file is what it held when it was first touched, and that is
// some time ago when its turn comes. Its identity then is known: if that is the
// same before and after it was read, what was read is what it held.
type hasher struct {
	fs    fileSystem
	cache *Cache
	now   func() time.Time

	mu    sync.Mutex
	ready sync.Cond
	queue []*hashJob
	jobs  map[content]*hashJob
	// The session's own files, by path and by inode: it does not matter what
	// those held before.
	ownPaths map[string]struct{}
	ownFiles map[inode]struct{}
	targets  map[content]string // of symbolic links that were about to be removed
	closed   bool
	workers  sync.WaitGroup
}

// An inode is a file whatever it holds.
type inode struct{ dev, ino uint64 }

// A content is a file together with what it holds. The change time is not a part of it:
// links, renames and chmods set that, too. Code that relies on a hash must compare it as
// well.
type content struct {
	inode
	size, mtime int64
}

func inodeOf(info *events.FileInfo) inode { return inode{info.Dev, info.Ino} }

func contentOf(info *events.FileInfo) content { return content{inodeOf(info), info.Size, info.Mtime} }

// A hashJob is one file to be hashed. Its results may be read when done is closed.
type hashJob struct {
	path    string
	want    events.FileInfo
	started bool
	done    chan struct{}

	sum  [32]byte
	info events.FileInfo // of the file when it was hashed
	racy bool            // its times do not say whether it has changed since
	err  error
}

// errChanged says that a file no longer is what was to be hashed.
var errChanged = errors.New("changed")

const hashWorkers = 2

func newHasher(fs fileSystem, cache *Cache, now func() time.Time) *hasher {
	h := &hasher{
		fs: fs, cache: cache, now: now,
		jobs: make(map[content]*hashJob), ownPaths: make(map[string]struct{}), ownFiles: make(map[inode]struct{}),
		targets: make(map[content]string),
	}
	h.ready.L = &h.mu
	return h
}

// start begins the work; close ends it.
func (h *hasher) start() {
	for range hashWorkers {
		h.workers.Go(h.work)
	}
}

// want has the file at path hashed, which info is of.
func (h *hasher) want(path string, info *events.FileInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if j := h.jobs[contentOf(info)]; j == nil || j.failed() {
		h.queue = append(h.queue, h.add(path, info))
		h.ready.Signal()
	}
}

// result returns the job of the file that info is of, once close has returned.
func (h *hasher) result(info *events.FileInfo) *hashJob { return h.jobs[contentOf(info)] }

// failed reports whether j is done without a hash: the file may have another name by now.
func (j *hashJob) failed() bool {
	select {
	case <-j.done:
		return j.err != nil
	default:
		return false
	}
}

func (h *hasher) add(path string, info *events.FileInfo) *hashJob {
	j := &hashJob{path: path, want: *info, done: make(chan struct{})}
	h.jobs[contentOf(info)] = j
	return j
}

// own notes that what is at path, or that file, is of the session's making.
func (h *hasher) own(path string, info *events.FileInfo) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if path != "" {
		h.ownPaths[path] = struct{}{}
	}
	if info.Known() {
		h.ownFiles[inodeOf(info)] = struct{}{}
	}
}

// owns reports whether the session made what is at path, or tried to.
func (h *hasher) owns(path string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.ownPaths[path]
	return ok
}

// disown notes that there is nothing of the session's making at path any more.
func (h *hasher) disown(path string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.ownPaths, path)
}

// disownFiles notes that files of the session's making are gone.
func (h *hasher) disownFiles(list []content) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, c := range list {
		delete(h.ownFiles, c.inode)
		delete(h.targets, c)
		delete(h.jobs, c)
	}
}

// guard makes sure that the content of the file at path is known when it returns: it is
// about to be changed. The events before this call may not have been folded yet, so that
// it cannot be known whether anybody wants it.
func (h *hasher) guard(path string, info *events.FileInfo) {
	h.mu.Lock()
	_, ownPath := h.ownPaths[path]
	_, ownFile := h.ownFiles[inodeOf(info)]
	h.ownFiles[inodeOf(info)] = struct{}{} // from now on
	if j := h.jobs[contentOf(info)]; j == nil && (ownPath || ownFile) {
		h.mu.Unlock()
		return
	}
	h.mu.Unlock()
	// A worker that is hashing it by a name that it no longer has does so for nothing.
	for mine := false; !mine; {
		var j *hashJob
		if j, mine = h.take(path, info); mine {
			h.run(j, make([]byte, bufferSize))
		}
		<-j.done
		if j.err == nil {
			return
		}
	}
}

// take returns the job of the file at path, and whether the caller is to do it.
func (h *hasher) take(path string, info *events.FileInfo) (j *hashJob, mine bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if j = h.jobs[contentOf(info)]; j == nil || j.failed() {
		j = h.add(path, info)
	}
	if j.started {
		return j, false
	}
	j.path, j.started = path, true
	return j, true
}

// guardLink reads a symbolic link that is about to be removed, or replaced.
func (h *hasher) guardLink(path string, info *events.FileInfo) {
	target, err := h.fs.readlink(path)
	if err != nil {
		return
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.targets[contentOf(info)] = target
}

// target returns what guardLink has read, "" if nothing.
func (h *hasher) target(info *events.FileInfo) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.targets[contentOf(info)]
}

func (h *hasher) work() {
	buf := make([]byte, bufferSize)
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		for len(h.queue) == 0 {
			if h.closed {
				return
			}
			h.ready.Wait()
		}
		j := h.queue[0]
		h.queue[0] = nil
		h.queue = h.queue[1:]
		if j.started { // by guard
			continue
		}
		j.started = true
		h.mu.Unlock()
		h.run(j, buf)
		h.mu.Lock()
	}
}

// close waits for all that is wanted.
func (h *hasher) close() {
	h.mu.Lock()
	h.closed = true
	h.ready.Broadcast()
	h.mu.Unlock()
	h.workers.Wait()
}

// run hashes one file.
func (h *hasher) run(j *hashJob, buf []byte) {
	defer close(j.done)
	id, err := h.fs.identify(j.path)
	if err != nil || contentOf(&id.FileInfo) != contentOf(&j.want) {
		j.err = cmp.Or(err, errChanged)
		return
	}
	if sum, ok := h.cache.get(&id); ok {
		j.sum, j.info = sum, id.FileInfo
		return
	}
	start := h.now()
	j.sum, j.info, j.err = hashFile(h.fs, j.path, buf)
	if j.err == nil && contentOf(&j.info) != contentOf(&j.want) {
		j.err = errChanged
	}
	if j.err != nil {
		return
	}
	if j.racy = isRacy(&j.info, start) || id.mount == 0; !j.racy {
		h.cache.put(&identity{j.info, id.mount}, j.sum)
	}
}

// granularity is a little more than the distance of two ticks of the coarsest clock that
// Linux stamps files with (CONFIG_HZ=100); coarseGranularity that of file systems
// that keep whole seconds, FAT even two. Since Linux 6.13 a file that was looked at
// gets a finer stamp, but not on every file system.
const (
	granularity       = 12 * time.Millisecond
	coarseGranularity = 2 * time.Second
)

// isRacy reports whether a file changed so soon before at that another change would leave
// its times as they are.
func isRacy(info *events.FileInfo, at time.Time) bool {
	g := granularity
	if info.Mtime%1e9 == 0 && info.Ctime%1e9 == 0 {
		g = coarseGranularity
	}
	return max(info.Mtime, info.Ctime) >= at.Add(-g).UnixNano()
}
