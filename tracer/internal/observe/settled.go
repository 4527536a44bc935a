package observe

import (
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
)

// IsPlain reports whether a caller has the root directory and the mounts that fstrace
// has, and shares its working directory only with the threads of its process.
func (o *Observer) IsPlain(c *Call) bool {
	v, err := o.resolver.ViewOf(c.PID, c.TID)
	return err == nil && v == (resolve.View{Root: "/", PID: c.PID, TID: c.TID}) && o.isPlain(c)
}

// Settled returns the working directory of a caller whose call was just observed, if it
// is known and no thread of its process is changing it.
func (o *Observer) Settled(c *Call) (procfs.Place, bool) {
	w := c.Dir
	ok := c.Followed && !w.at.IsZero() && w.moves == o.resolver.Moves && len(w.changing) == 0 && w.sharing == sharedByThreads
	return w.place, ok
}

// Moves counts how often directories were removed, renamed or mounted upon by the
// session.
func (o *Observer) Moves() uint { return o.resolver.Moves }
