package events

import (
	"errors"
	"slices"
	"testing"
)

// collector keeps the Seq of each event that it is given.
type collector struct {
	begun, ended bool
	counts       Counts
	seqs         []uint64
}

func (c *collector) Begin(*Header) error { c.begun = true; return nil }

func (c *collector) Event(e *Event) error { c.seqs = append(c.seqs, e.Seq); return nil }

func (c *collector) End(t *Trailer) error { c.ended, c.counts = true, t.Counts; return nil }

func TestFilter(t *testing.T) {
	events := []Event{
		{Op: OpStart, Exe: "/bin/cc"},
		{Op: OpExec, Syscall: "execve", Path: "/bin/cc"},
		{Op: OpRead, Path: "/src/a.c"},
		{Op: OpRead, Path: "/proc/1/maps"},
		{Op: OpReadlink, Path: "/proc/self/exe"},
		{Op: OpStat, Path: "/proc/self/exe", Real: "/bin/cc"},
		{Op: OpRename, Path: "/tmp/x", To: "/src/a.o"},
		{Op: OpRename, Path: "/tmp/x", To: "/proc/y"},
		{Op: OpStat, Syscall: "stat"}, // a path that could not be read
		{Op: OpExec, Exe: "/bin/cc"},
		{Op: OpExit},
	}
	tests := []struct {
		name         string
		only, ignore []string
		hidden       []uint64
	}{
		{"nothing", nil, nil, nil},
		{"ignore", nil, []string{"/proc"}, []uint64{4, 5}},
		{"ignore, of two patterns", nil, []string{"/proc", "/tmp"}, []uint64{4, 5, 8}},
		{"only", []string{"*.c", "*.o"}, nil, []uint64{2, 4, 5, 6, 8}},
		{"only, by where a link leads", []string{"/bin"}, nil, []uint64{3, 4, 5, 7, 8}},
		{"both", []string{"/src", "/proc"}, []string{"*.c", "maps"}, []uint64{2, 3, 4}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var got collector
			f, err := Filter(&got, tt.only, tt.ignore)
			if err != nil {
				t.Fatal(err)
			}
			var trailer Trailer
			var want []uint64
			err = f.Begin(&Header{})
			for i := range events {
				events[i].Seq = uint64(i) + 1
				trailer.Counts.Add(&events[i])
				err = errors.Join(err, f.Event(&events[i]))
				if !slices.Contains(tt.hidden, events[i].Seq) {
					want = append(want, events[i].Seq)
				}
			}
			if err = errors.Join(err, f.End(&trailer)); err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(got.seqs, want) {
				t.Errorf("reported %v, want %v", got.seqs, want)
			}
			if !got.begun || !got.ended || got.counts != trailer.Counts {
				t.Errorf("the record's frame is not as it was: %+v", got)
			}
		})
	}
}

func TestFilterErrors(t *testing.T) {
	if _, err := Filter(nil, []string{"/a", "/[b"}, nil); err == nil || err.Error() != `only "/[b": "[" without "]"` {
		t.Errorf("got %v", err)
	}
	if _, err := Filter(nil, nil, []string{""}); err == nil || err.Error() != `ignore "": empty pattern` {
		t.Errorf("got %v", err)
	}
}
