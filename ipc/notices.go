package ipc

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
)

// Notices are what [Client.Monitor] returns: one goroutine may call Next, any may call
// Close.
type Notices struct {
	stream *Stream
	ended  bool
}

// A Notice has one of its fields set.
type Notice struct {
	Sessions []SessionInfo // those that there are: the first notice
	Begun    *SessionInfo  // a session has begun
	Ended    *SessionInfo  // a session has ended
	// Lost says that this client read too slowly, and that notices are missing here.
	// [Client.List] has what there is now.
	Lost bool
}

// Monitor returns notices of sessions: of those that there are, and of each that begins
// or ends from then on, by any client. A session that begins at that moment may be in the
// first notice and have one of its own. With a label, it is about the sessions that have
// that label; "" is about all.
//
// The notices end with ctx, with Close, or with the daemon. Close must be called.
func (c *Client) Monitor(ctx context.Context, label string) (*Notices, error) {
	var in wireLabel
	if label != "" {
		in.Label = &label
	}
	s, err := c.open(ctx, "Monitor", in, nil, true)
	if err != nil {
		return nil, err
	}
	return &Notices{stream: s}, nil
}

// Next waits for the next notice. It returns io.EOF when the daemon ends in order,
// [ErrGone] if it ended otherwise, the context's error when that is done, and an [*Error]
// if the daemon refuses: one that does not know the method has no [FeatureMonitor].
func (n *Notices) Next() (*Notice, error) {
	if n.ended {
		return nil, io.EOF
	}
	data, err := n.stream.message()
	if err != nil {
		return nil, err
	}
	r, err := n.stream.decode(data)
	if err != nil {
		return nil, err
	}
	if !r.Continues { // the last says nothing
		n.ended = true
		return nil, io.EOF
	}
	var w wireNotice
	if err := json.Unmarshal(r.Parameters, &w); err != nil {
		return nil, fmt.Errorf("fstraced: Monitor: reply: %w", err)
	}
	notice := &Notice{Begun: w.Begun, Ended: w.Ended, Lost: w.Lost != nil && *w.Lost}
	if w.Sessions != nil {
		notice.Sessions = *w.Sessions
	}
	return notice, nil
}

// Close ends the notices. A Next that waits returns with an error.
func (n *Notices) Close() error { return n.stream.Close() }
