package ipc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/fstrace/fstrace/events/manifest"
	"github.com/fstrace/fstrace/ipc/internal/varlink"
	"golang.org/x/sys/unix"
)

// A Client talks to a daemon. Each call uses its own connection, so calls do not wait for
// each other. The methods may be called concurrently. A Client holds no resources and
// need not be closed.
type Client struct {
	socket string
	info   ServerInfo
}

// DefaultSocket returns the socket of the user's daemon, $XDG_RUNTIME_DIR/fstrace/socket.
// It returns an error if XDG_RUNTIME_DIR is not set.
func DefaultSocket() (string, error) {
	dir := os.Getenv("XDG_RUNTIME_DIR")
	if dir == "" {
		return "", errors.New("XDG_RUNTIME_DIR is not set: give the socket with --socket (fstraced) or --connect=SOCKET (fstrace)")
	}
	if !filepath.IsAbs(dir) {
		return "", fmt.Errorf("XDG_RUNTIME_DIR %q is not an absolute path", dir)
	}
	return filepath.Join(dir, "fstrace", "socket"), nil
}

// Dial returns a client for the daemon at a socket; "" means [DefaultSocket]. It asks the
// daemon for its [ServerInfo], and fails if no daemon is listening, or if the daemon
// belongs to another user than the caller or root.
func Dial(socket string) (*Client, error) {
	if socket == "" {
		var err error
		if socket, err = DefaultSocket(); err != nil {
			return nil, err
		}
	}
	c := &Client{socket: socket}
	if err := c.call(context.Background(), "Info", nil, &c.info); err != nil {
		return nil, err
	}
	return c, nil
}

// Server returns what the daemon said about itself when [Dial] connected.
func (c *Client) Server() ServerInfo { return c.info }

// List returns the running and the retained sessions, in the order in which they were
// started.
func (c *Client) List(ctx context.Context) ([]SessionInfo, error) {
	var out wireSessions
	err := c.call(ctx, "List", nil, &out)
	return out.Sessions, err
}

// Labelled is like List for the sessions with a label.
func (c *Client) Labelled(ctx context.Context, label string) ([]SessionInfo, error) {
	var out wireSessions
	err := c.call(ctx, "List", wireLabel{&label}, &out)
	return out.Sessions, err
}

// Manifest returns the manifest of an ended session: the document that fstrace -f
// manifest writes. It returns [ErrNoManifest] if the session has none or has not ended.
func (c *Client) Manifest(ctx context.Context, session string) ([]byte, error) {
	if !c.has(FeatureDescriptors) {
		var out wireManifest
		err := c.call(ctx, "GetManifest", wireGetManifest{Session: session}, &out)
		return out.Manifest, err
	}
	f, err := c.callFile(ctx, "GetManifest", wireGetManifest{session, true})
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// Record waits until a session ends and returns its whole record, as fstrace -f jsonl
// writes it. The caller must close the file.
func (c *Client) Record(ctx context.Context, session string) (*os.File, error) {
	return c.callFile(ctx, "GetRecord", wireSessionName{session})
}

// Cancel ends a session: it sends SIGTERM to all processes of the session and, after
// grace, SIGKILL to those that are left. It returns at once. The error is
// [ErrSessionEnded] if the session has ended.
func (c *Client) Cancel(ctx context.Context, session string, grace time.Duration) error {
	ms := grace.Milliseconds()
	return c.call(ctx, "Cancel", wireCancel{session, &ms}, nil)
}

// Signal sends a signal to the command of a session, or with group to the process group
// that the command leads. To signal a group needs Linux 6.9; before that, only the
// command gets the signal.
func (c *Client) Signal(ctx context.Context, session string, sig syscall.Signal, group bool) error {
	return c.call(ctx, "Signal", wireSignal{session, int(sig), group}, nil)
}

// A CheckRequest is what Check compares: the document Manifest, or the manifest of
// Session; one of the two must be set. The other fields are those of
// [manifest.CheckOptions], with paths as the daemon sees them.
type CheckRequest struct {
	Manifest                     []byte
	Session                      string
	Root                         string
	AsFound, IgnoreFormerOutputs bool
	Times                        manifest.Times
	Refuse                       []manifest.ExternalKind
	AllowIncomplete              bool
}

// Check compares a manifest with the file system that the daemon sees. If ctx is done
// first, the daemon stops the check.
func (c *Client) Check(ctx context.Context, q CheckRequest) (*CheckResult, error) {
	in := wireCheck{
		Manifest: q.Manifest, Session: q.Session, Root: q.Root, AllowIncomplete: q.AllowIncomplete,
		AsFound: q.AsFound, IgnoreFormerOutputs: q.IgnoreFormerOutputs, Times: q.Times.String(),
	}
	for _, kind := range q.Refuse {
		in.Refuse = append(in.Refuse, string(kind))
	}
	var files []int
	if len(q.Manifest) > inlineManifest && c.has(FeatureDescriptors) {
		f, err := memoryFile(q.Manifest)
		if err != nil {
			return nil, err
		}
		defer f.Close()
		in.Manifest, in.Descriptor, files = nil, new(int), []int{int(f.Fd())}
	}
	var out CheckResult
	err := c.callWith(ctx, "Check", in, files, &out)
	return &out, err
}

// inlineManifest is how large a manifest may be in a message. Larger ones are passed as a
// file.
const inlineManifest = 1 << 20

// memoryFile returns a file in memory that has data.
func memoryFile(data []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate("manifest", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	f := os.NewFile(uintptr(fd), "manifest")
	if _, err := f.Write(data); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// has reports whether the daemon has a feature.
func (c *Client) has(feature string) bool { return slices.Contains(c.info.Features, feature) }

// Statistics returns the counters of the daemon.
func (c *Client) Statistics(ctx context.Context) (*Statistics, error) {
	var out Statistics
	err := c.call(ctx, "Statistics", nil, &out)
	return &out, err
}

// call calls a method that has one reply.
func (c *Client) call(ctx context.Context, method string, in, out any) error {
	return c.callWith(ctx, method, in, nil, out)
}

func (c *Client) callWith(ctx context.Context, method string, in any, files []int, out any) error {
	s, err := c.open(ctx, method, in, files, false)
	if err != nil {
		return err
	}
	defer s.Close()
	data, err := s.message()
	if err != nil {
		return err
	}
	r, err := s.decode(data)
	if err != nil {
		return err
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(r.Parameters, out); err != nil {
		return fmt.Errorf("fstraced: %s: reply: %w", method, err)
	}
	return nil
}

// callFile calls a method whose reply comes with a descriptor.
func (c *Client) callFile(ctx context.Context, method string, in any) (*os.File, error) {
	s, err := c.open(ctx, method, in, nil, false)
	if err != nil {
		return nil, err
	}
	defer s.Close()
	s.frames.MaxFiles = 1
	f, err := s.frame()
	if err != nil {
		return nil, err
	}
	if _, err := s.decode(f.Data); err != nil {
		f.CloseFiles()
		return nil, err
	}
	if len(f.Files) != 1 {
		f.CloseFiles()
		return nil, fmt.Errorf("fstraced: %s: no descriptor came with the reply", method)
	}
	return os.NewFile(uintptr(f.Files[0]), method), nil
}

// open connects, sends a call, and returns the stream of its replies.
func (c *Client) open(ctx context.Context, method string, in any, files []int, more bool) (*Stream, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.socket)
	if err != nil {
		return nil, c.dialError(err)
	}
	unixConn := conn.(*net.UnixConn) // the network is
	if err := c.trust(unixConn); err != nil {
		conn.Close()
		return nil, err
	}
	s := &Stream{
		client: c, method: method, conn: unixConn,
		frames: varlink.NewReader(unixConn, maxReply, 0),
	}
	s.stop = context.AfterFunc(ctx, func() { unixConn.Close() })
	s.ctx = ctx
	q := varlink.Call{Method: Interface + "." + method, More: more}
	if in != nil {
		if q.Parameters, err = varlink.Encode(in); err != nil {
			s.Close()
			return nil, err
		}
	}
	data, err := varlink.Encode(q)
	if err == nil {
		err = varlink.Write(unixConn, data, files)
	}
	// A server that refuses a connection says why, and closes: what it said is there to
	// be read though nothing can be written.
	if err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		s.Close()
		return nil, fmt.Errorf("fstraced: %s: %w", method, err)
	}
	return s, nil
}

// trust makes sure that it is this user or root who listens. Another user's daemon would
// get the command's environment and descriptors, and could trace it.
func (c *Client) trust(conn *net.UnixConn) error {
	server, err := peerOf(conn)
	if err != nil {
		return fmt.Errorf("connect to fstraced at %s: %w", c.socket, err)
	}
	if server.UID != 0 && server.UID != os.Geteuid() {
		return fmt.Errorf("connect to fstraced at %s: user %d is listening, neither you nor root: refused", c.socket, server.UID)
	}
	return nil
}

// maxReply is more than the server ever sends: a manifest is its largest answer.
const maxReply = 1 << 30

// dialError says what the user can do about it.
func (c *Client) dialError(err error) error {
	switch {
	case errors.Is(err, syscall.ENOENT):
		return fmt.Errorf("connect to fstraced at %s: the socket does not exist: start fstraced", c.socket)
	case errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("connect to fstraced at %s: no process is listening: start fstraced", c.socket)
	case errors.Is(err, syscall.EACCES):
		return fmt.Errorf("connect to fstraced at %s: permission denied: the daemon belongs to another user", c.socket)
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	return fmt.Errorf("connect to fstraced at %s: %w", c.socket, err)
}

// gone distinguishes the end of the connection from other errors.
func gone(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, varlink.ErrBrokenOff) || errors.Is(err, net.ErrClosed) || errors.Is(err, syscall.ECONNRESET) {
		return ErrGone
	}
	return err
}
