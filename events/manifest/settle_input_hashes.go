package manifest

import (
	"errors"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// sumOf returns the hash of what o held when it was first touched, nil if the command
// was not allowed to read it.
func (x *outcome) sumOf(o *origin) (sum *[32]byte, p *problem) {
	if out := x.carriedAlong[o]; out != nil {
		// Renaming a directory leaves what is in it alone.
		info := out.info
		if _, ok := x.fold.retold[inodeOf(&info)]; ok { // the session's own chmod, say
			info.Ctime = info.Mtime
		}
		switch {
		case isRacy(&info, out.movedAt):
			return nil, changed("changed when its directory was renamed, or after")
		case out.sum == nil:
			return nil, changed("could not be read where its directory went")
		}
		return out.sum, nil
	}
	j := x.hasher.result(o.info)
	if j != nil && j.err != nil {
		j = x.again(o, j)
	}
	switch {
	case j == nil:
		return nil, changed("could not be looked at in time")
	case isForbidden(j.err) && o.ops&opBit(events.OpExec) != 0:
		return nil, &problem{events.ReasonOpaqueProcess, "a program that may not be read"}
	case isForbidden(j.err) && !x.fs.privileged():
		o.hashing = false // for the command neither: it got EACCES
		return nil, nil
	case j.err != nil:
		return nil, changed("could not be read as it was: " + j.err.Error())
	case j.info.Ctime != o.info.Ctime && !x.isRetold(o):
		return nil, changed("changed after its first use, before it was hashed")
	}
	return &j.sum, nil
}

func isForbidden(err error) bool { return errors.Is(err, unix.EACCES) || errors.Is(err, unix.EPERM) }

// isRetold reports whether the session may have set a file's change time, by this name or
// by another, and left what it holds alone.
func (x *outcome) isRetold(o *origin) bool {
	_, ok := x.fold.retold[inodeOf(o.info)]
	return ok || o.retold || o.away
}

// again hashes what could not be hashed under the name that it had: it may have
// gone elsewhere with its directory.
func (x *outcome) again(o *origin, failed *hashJob) *hashJob {
	path := o.wentTo()
	if path == "" || path == failed.path {
		return failed
	}
	j := &hashJob{path: path, want: *o.info, done: make(chan struct{})}
	x.hasher.run(j, make([]byte, bufferSize))
	if j.err != nil {
		return failed
	}
	return j
}
