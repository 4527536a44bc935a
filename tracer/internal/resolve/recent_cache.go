package resolve

import (
	"strings"
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
)

// MaxAge is how long a lookup stays in the cache, unless the session itself does
// something that may change its result. A change by another process may stay unseen for
// as long.
const MaxAge = 10 * time.Millisecond

const (
	// maxRecent bounds the memory of what was found.
	maxRecent = 1 << 12
	// maxChanged bounds that of what the session changes.
	maxChanged = 1 << 16
)

// A recentCache has what was found at canonical paths in the last [MaxAge]: programs look
// up the same file again and again, through the same links. It is for one goroutine.
//
// It has no absent paths. What the session is about to make, change or remove leaves the
// cache for good, because the kernel does not say when such a call has run. That is by
// path, and also by inode: a file can have other names.
type recentCache struct {
	found map[string]finding
	links map[string]linkFinding // symbolic links that were followed
	// changedPaths are the paths at which the session makes, changes or removes
	// something.
	changedPaths pathSet
	changed      map[procfs.Inode]struct{} // what was there
	off          bool
	key          []byte
}

type finding struct {
	path  string
	state events.State
	info  events.FileInfo
	at    time.Time
}

type linkFinding struct {
	events.Link
	inode procfs.Inode
	at    time.Time
}

// find returns what is at a path, absolute or relative to base, if that is known.
func (l *recentCache) find(base string, name []byte, now time.Time) (Result, bool) {
	key := name
	for len(key) > 2 && key[0] == '.' && key[1] == '/' {
		key = key[2:]
	}
	asIs := len(key) == len(name)
	if key[0] != '/' {
		l.key = append(l.key[:0], base...)
		if len(base) != 1 { // "/"
			l.key = append(l.key, '/')
		}
		l.key = append(l.key, key...)
	} else if asIs {
		l.key = append(l.key[:0], key...)
	} else { // ".//a"
		return Result{}, false
	}
	f, ok := l.file(l.key, now)
	if !ok {
		return Result{}, false
	}
	r := Result{Set: true, Path: f.path, State: f.state, Info: f.info}
	if asIs {
		r.As = f.path[len(f.path)-len(name):]
	} else {
		r.As = string(name)
	}
	return r, true
}

// at returns what is known of the file that a descriptor stands for: as long as it
// is not removed, it is the one that has its name.
func (l *recentCache) at(p procfs.Place, now time.Time) (f finding, ok bool) {
	if p.Gone {
		return finding{}, false
	}
	f, ok = l.found[p.Path]
	return f, ok && now.Sub(f.at) <= MaxAge && !l.isChanged(procfs.InodeOf(&f.info))
}

// isChanged reports whether the session changes what has an inode, under whatever name.
func (l *recentCache) isChanged(i procfs.Inode) bool {
	if len(l.changed) == 0 {
		return false
	}
	_, ok := l.changed[i]
	return ok
}

// file returns what is known of the file at a canonical path: no symbolic link.
func (l *recentCache) file(path []byte, now time.Time) (f finding, ok bool) {
	f, ok = l.found[string(path)]
	return f, ok && now.Sub(f.at) <= MaxAge && !l.isChanged(procfs.InodeOf(&f.info))
}

// link returns what is known of the symbolic link at a canonical path.
func (l *recentCache) link(path []byte, now time.Time) (link events.Link, ok bool) {
	f, ok := l.links[string(path)]
	return f.Link, ok && now.Sub(f.at) <= MaxAge && !l.isChanged(f.inode)
}

// keep remembers what a path led to.
func (l *recentCache) keep(r *Result, dirs *dirCache, now time.Time) {
	path := r.End()
	switch r.State {
	case events.StateFile, events.StateDir, events.StateOther:
	default:
		return
	}
	if !r.Info.Known() || r.viaMoved || !l.isStable(path, procfs.InodeOf(&r.Info), dirs, now) {
		return
	}
	if l.found == nil {
		l.found = make(map[string]finding)
	} else if len(l.found) >= maxRecent {
		clear(l.found)
	}
	l.found[path] = finding{path: path, state: r.State, info: r.Info, at: now}
}

// keepLink remembers a symbolic link at a canonical path.
func (l *recentCache) keepLink(link events.Link, is procfs.Inode, dirs *dirCache, now time.Time) {
	if !l.isStable(link.Path, is, dirs, now) {
		return
	}
	if l.links == nil {
		l.links = make(map[string]linkFinding)
	} else if len(l.links) >= maxRecent {
		clear(l.links)
	}
	l.links[link.Path] = linkFinding{link, is, now}
}

// isStable reports whether what is at a canonical path may be cached. /proc changes by
// itself.
func (l *recentCache) isStable(path string, is procfs.Inode, dirs *dirCache, now time.Time) bool {
	if l.off || l.isChanged(is) || dirs.off || now.IsZero() || strings.HasPrefix(path, "/proc/") {
		return false
	}
	return !l.changedPaths.has(path) && (len(dirs.movedPaths) == 0 || !dirs.underMoved(path))
}

// changing is called for a path at which something is about to change. If a name is made
// or removed, its directory changes too.
func (l *recentCache) changing(op events.Op, r *Result) {
	if !r.Set || l.off {
		return
	}
	if l.changedPaths == nil {
		l.changedPaths, l.changed = make(pathSet), make(map[procfs.Inode]struct{})
	}
	if r.Info.Known() {
		l.changed[procfs.InodeOf(&r.Info)] = struct{}{}
	}
	names := op != events.OpChattr && (op != events.OpWrite || r.State == events.StateAbsent)
	for _, path := range [...]string{r.Path, r.Real} {
		if path == "" {
			continue
		}
		l.markChanged(path)
		if i := strings.LastIndexByte(path, '/'); names && i >= 0 {
			l.markChanged(path[:max(i, 1)])
		}
	}
	if len(l.changedPaths) > maxChanged || len(l.changed) > maxChanged {
		*l = recentCache{off: true}
	}
}

// underChanged reports whether the session makes, changes or removes something at a path,
// or at a directory above it.
func (l *recentCache) underChanged(path string) bool { return l.changedPaths.hasAbove(path) }

func (l *recentCache) markChanged(path string) {
	l.changedPaths.add(path)
	delete(l.found, path)
	delete(l.links, path)
}

// forget is called when directories move, or mounts.
func (l *recentCache) forget() {
	clear(l.found)
	clear(l.links)
}
