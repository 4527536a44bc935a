package observe

import (
	"time"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
)

// A programs remembers which interpreters programs name: builds run the same few
// again and again. It is for one goroutine.
//
// A file is known by all that lstat says of it, so that one which was changed or
// replaced is another. A file that was changed a moment ago is not remembered: another
// change might leave its times as they are.
type programs struct{ known map[events.FileInfo]program }

type program struct {
	interpreter []byte
	script      bool
}

const (
	// maxPrograms bounds the memory of what is remembered.
	maxPrograms = 1 << 10
	// settled is the age from which a file's times distinguish its states, on any file
	// system: FAT counts in two seconds.
	settled = 4 * time.Second
)

// interpreter returns the path that a program names as its interpreter, "" if it needs
// none, and whether that one is run in its place. The result must not be changed. To open
// a file may take long, wherever it is: a program of the session may have to allow it
// (fanotify(7), FAN_OPEN_PERM).
func (ps *programs) interpreter(name string, info *events.FileInfo, now time.Time, l procfs.Looker) (path []byte, script bool, err error) {
	if p, ok := ps.known[*info]; ok {
		return p.interpreter, p.script, nil
	}
	if !l.EnterAt([]byte(name)) {
		return nil, false, procfs.ErrUnanswered
	}
	path, script, err = readInterpreter(name)
	l.Leave()
	if err == nil && now.UnixNano()-max(info.Mtime, info.Ctime) > int64(settled) {
		if ps.known == nil || len(ps.known) >= maxPrograms {
			ps.known = make(map[events.FileInfo]program)
		}
		ps.known[*info] = program{path, script}
	}
	return path, script, err
}
