package ipc

import (
	"context"
	"errors"
	"io"
	"testing"
)

// TestNotices: a client hears of the sessions with a label, and of the daemon's end.
func TestNotices(t *testing.T) {
	ctx := testContext(t)
	c, s := startServer(t, nil)
	n, err := c.Monitor(ctx, "mine")
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if first, err := n.Next(); err != nil || first.Sessions == nil || len(first.Sessions) > 0 {
		t.Fatalf("%+v, %v", first, err)
	}
	ids := map[string]string{}
	for _, label := range []string{"other", "mine"} {
		q := sh(t.TempDir(), "exit 3")
		q.Options.Label = label
		run, err := c.Run(ctx, q)
		if err != nil {
			t.Fatal(err)
		}
		ids[label] = run.Session()
		for err == nil {
			_, err = run.Next()
		}
		run.Close()
	}
	begun, err := n.Next()
	if err != nil || begun.Begun == nil || begun.Begun.Session != ids["mine"] {
		t.Errorf("%+v, %v", begun, err)
	}
	ended, err := n.Next()
	if err != nil || ended.Ended == nil || ended.Ended.Session != ids["mine"] || ended.Lost {
		t.Errorf("%+v, %v", ended, err)
	}
	cancelled, cancel := context.WithCancel(ctx)
	other, err := c.Monitor(cancelled, "")
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	if first, err := other.Next(); err != nil || len(first.Sessions) != 2 {
		t.Errorf("%+v, %v", first, err)
	}
	cancel()
	if _, err := other.Next(); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
	s.Shutdown(ctx, true)
	for range 2 {
		if x, err := n.Next(); err != io.EOF {
			t.Errorf("after the end: %+v, %v", x, err)
		}
	}
}
