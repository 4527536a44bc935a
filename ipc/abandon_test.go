package ipc

import (
	"context"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestCancelWhileHashing: a session whose command has ended hashes no more for somebody
// who cancels it, or is gone; nor does it hold up the server's end.
func TestCancelWhileHashing(t *testing.T) {
	for _, how := range []string{"cancel", "gone", "shutdown"} {
		t.Run(how, func(t *testing.T) {
			client, s := startServer(t, nil)
			ctx, leave := context.WithCancel(testContext(t))
			defer leave()
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "huge"), nil, 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Truncate(filepath.Join(dir, "huge"), 1<<40); err != nil { // takes hours
				t.Skip(err)
			}
			q := sh(dir, "exec head -c 1 huge")
			q.Options.Manifest = true
			stream, err := client.Run(ctx, q)
			if err != nil {
				t.Fatal(err)
			}
			defer stream.Close()
			n, err := s.registry.find(stream.Session())
			if err != nil {
				t.Fatal(err)
			}
			pid := n.command().Pid()
			harness.Eventually(t, "the command has ended", func() bool { return harness.StatusField(pid, "State") == "" })
			before := cpuTime(t)
			harness.Eventually(t, "the file is read", func() bool { return cpuTime(t)-before > 100*time.Millisecond })
			ended := make(chan error, 1)
			go func() {
				_, err := io.Copy(io.Discard, stream.Record())
				ended <- err
			}()
			switch how {
			case "cancel":
				if err := client.Cancel(ctx, stream.Session(), 0); err != nil {
					t.Error(err)
				}
			case "gone":
				leave()
			case "shutdown":
				s.Shutdown(ctx, true)
			}
			harness.Eventually(t, "the session ends", n.isDone)
			<-ended
			if n.result.Error == "" || !strings.Contains(n.result.Error, "before all files were hashed") {
				t.Errorf("the result is %+v", n.result)
			}
		})
	}
}
