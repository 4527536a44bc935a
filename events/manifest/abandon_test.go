package manifest

import (
	"bytes"
	"errors"
	"os"
	"testing"
	"time"

	"github.com/fstrace/fstrace/events"
)

// TestAbandon: End can be made to stop hashing. Before it nothing can: changes wait for
// the hashes.
func TestAbandon(t *testing.T) {
	name := t.TempDir() + "/huge"
	if err := os.WriteFile(name, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(name, 1<<40); err != nil { // takes hours
		t.Skip(err)
	}
	info, err := newOSFS().lstat(name)
	if err != nil {
		t.Fatal(err)
	}
	var doc bytes.Buffer
	r, err := NewRecorder(&doc, Options{})
	if err != nil {
		t.Fatal(err)
	}
	r.Served(func(string) bool { return false })
	if err := r.Begin(&events.Header{}); err != nil {
		t.Fatal(err)
	}
	cause := errors.New("cause")
	r.Abandon(cause)
	if r.hashing.Err() != nil {
		t.Error("it stops before End")
	}
	if err := r.Event(&events.Event{Op: events.OpRead, Path: name, State: events.StateFile, Info: info}); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- r.End(&events.Trailer{End: time.Now()}) }()
	deadline := time.After(20 * time.Second)
	for {
		select {
		case err := <-ended:
			if !errors.Is(err, cause) || doc.Len() > 0 {
				t.Errorf("End returns %v, and has written %d bytes", err, doc.Len())
			}
			return
		case <-deadline:
			t.Fatal("End does not stop")
		case <-time.After(time.Millisecond):
			r.Abandon(cause)
		}
	}
}
