package ipc

import (
	"encoding/json"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/internal/jsonstring"
)

// The wire types are the schema's, as encoding/json writes and reads them. A []byte is
// base64 there; a pointer is a field that may be missing.

type wireRun struct {
	Argv        []string         `json:"argv,omitempty"`
	ArgvBase64  [][]byte         `json:"argvBase64,omitempty"`
	Env         []string         `json:"env,omitzero"`
	EnvBase64   [][]byte         `json:"envBase64,omitzero"`
	Cwd         string           `json:"cwd,omitempty" check:"nonempty"`
	CwdBase64   []byte           `json:"cwdBase64,omitempty"`
	Umask       *int             `json:"umask,omitempty"`
	Limits      []ResourceLimit  `json:"limits,omitempty"`
	Nice        *int             `json:"nice,omitempty"`
	Descriptors []wireDescriptor `json:"descriptors,omitempty"`
	Options     *Options         `json:"options,omitempty"`
	Launched    *wireLaunched    `json:"launched,omitempty"`
}

type wireDescriptor struct {
	Number int `json:"number"`
	Index  int `json:"index"`
}

type wireLaunched struct {
	Version int    `json:"version"`
	Control int    `json:"control"`
	Process int    `json:"process"`
	Mask    string `json:"mask"`
	Ignored string `json:"ignored"`
	Outer   *int   `json:"outer,omitempty"`
}

// Options are the options of a run. They have the names and the meaning of the flags of
// fstrace. Empty fields have the default values of these flags.
type Options struct {
	Wait      string `json:"wait,omitempty" check:"nonempty"`      // "root", "all"
	Lifecycle string `json:"lifecycle,omitempty" check:"nonempty"` // "ptrace", "notify"
	IOUring   string `json:"ioUring,omitempty" check:"nonempty"`   // "deny", "allow"
	Recorder  string `json:"recorder,omitempty" check:"nonempty"`  // "off", "auto"

	TimeoutMs   int64  `json:"timeoutMs,omitempty"`
	KillAfterMs *int64 `json:"killAfterMs,omitempty"`

	Only      []string `json:"only,omitempty"`
	Ignore    []string `json:"ignore,omitempty"`
	Compact   bool     `json:"compact,omitempty"`
	EnvValues bool     `json:"envValues,omitempty"`

	// Manifest requests a manifest. Root and Record are options of it.
	Manifest bool   `json:"manifest,omitempty"`
	Root     string `json:"root,omitempty" check:"nonempty"`
	Record   string `json:"record,omitempty" check:"nonempty"`

	// Events, if false, suppresses the events in the replies to the caller.
	Events *bool `json:"events,omitempty"`
	// Detach lets the session continue when the caller disconnects.
	Detach bool `json:"detach,omitempty"`

	// Label is a name by which the client can find the session again.
	Label string `json:"label,omitempty" check:"nonempty"`
	// BatchBytes is the approximate size of the events in a reply, in bytes; nil means
	// the default.
	BatchBytes *int `json:"batchBytes,omitempty"`
	// LatencyMs is how long events may wait for others, in milliseconds, so that replies
	// are larger.
	LatencyMs int64 `json:"latencyMs,omitempty"`
}

type wireSubscribe struct {
	Session    string   `json:"session"`
	From       uint64   `json:"from,omitempty"`
	Only       []string `json:"only,omitempty"`
	Ignore     []string `json:"ignore,omitempty"`
	BatchBytes *int     `json:"batchBytes,omitempty"`
	LatencyMs  int64    `json:"latencyMs,omitempty"`
}

type wireLabel struct {
	Label *string `json:"label,omitempty" check:"nonempty"`
}

// wireNotice is a reply of Monitor.
type wireNotice struct {
	Sessions *[]SessionInfo `json:"sessions,omitempty"`
	Begun    *SessionInfo   `json:"begun,omitempty"`
	Ended    *SessionInfo   `json:"ended,omitempty"`
	Lost     *bool          `json:"lost,omitempty"`
}

type wireSessionName struct {
	Session string `json:"session"`
}

type wireCancel struct {
	Session string `json:"session"`
	GraceMs *int64 `json:"graceMs,omitempty"`
}

type wireSignal struct {
	Session string `json:"session"`
	Signal  int    `json:"signal"`
	Group   bool   `json:"group,omitempty"`
}

type wireCheck struct {
	Manifest            json.RawMessage `json:"manifest,omitempty"`
	Session             string          `json:"session,omitempty" check:"nonempty"`
	Descriptor          *int            `json:"descriptor,omitempty"`
	Root                string          `json:"root,omitempty" check:"nonempty"`
	AsFound             bool            `json:"asFound,omitempty"`
	IgnoreFormerOutputs bool            `json:"ignoreFormerOutputs,omitempty"`
	Times               string          `json:"times,omitempty" check:"nonempty"`
	Refuse              []string        `json:"refuse,omitempty"`
	AllowIncomplete     bool            `json:"allowIncomplete,omitempty"`
}

type wireGetManifest struct {
	Session    string `json:"session"`
	Descriptor bool   `json:"descriptor,omitempty"`
}

type wireManifest struct {
	Manifest   json.RawMessage `json:"manifest,omitempty"`
	Descriptor *int            `json:"descriptor,omitempty"`
	Size       *int64          `json:"size,omitempty"`
}

type wireFile struct {
	Descriptor int   `json:"descriptor"`
	Size       int64 `json:"size"`
}

type wireSessions struct {
	Sessions []SessionInfo `json:"sessions"`
}

// wireUpdate is a reply of Run and Subscribe. The server appends events by hand.
type wireUpdate struct {
	Session string            `json:"session"`
	Start   json.RawMessage   `json:"start,omitempty"`
	Running bool              `json:"running,omitempty"`
	Events  []json.RawMessage `json:"events,omitempty"`
	End     json.RawMessage   `json:"end,omitempty"`
	Result  *Result           `json:"result,omitempty"`
}

// A Result is what the record does not say about a run.
type Result struct {
	// Ending is "term" or "kill" if a timeout or a cancellation ended the run.
	Ending string `json:"ending,omitempty"`
	// NotExecuted says why the command could not be executed. The exit status is then 126
	// or 127.
	NotExecuted string `json:"notExecuted,omitempty"`
	// Error says why the record is cut off.
	Error string `json:"error,omitempty"`
	// Usage is the resource usage of the command; nil if not known.
	Usage *Usage `json:"usage,omitempty"`
}

// A SessionInfo is a session in a list.
type SessionInfo struct {
	Session string `json:"session"`         // its id, a UUIDv7
	Label   string `json:"label,omitempty"` // that the client gave it
	State   string `json:"state"`           // "running", "ended"

	// Argv and Cwd are the command and its directory; if they are not UTF-8, ArgvBase64
	// and CwdBase64 have the bytes. Use the methods Command and Directory.
	Argv       []string `json:"argv,omitempty"`
	ArgvBase64 [][]byte `json:"argvBase64,omitempty"`
	ArgvCut    bool     `json:"argvCut,omitempty"` // not all arguments are listed
	Cwd        string   `json:"cwd,omitempty"`
	CwdBase64  []byte   `json:"cwdBase64,omitempty"`
	PID        int      `json:"pid"` // 0 if there is no process yet

	// Started and Ended are times as in RFC 3339. Ended is empty while the session runs.
	// Exit and Complete are those of the trailer, nil if the record has none.
	Started  string       `json:"started"`
	Ended    string       `json:"ended,omitempty"`
	Exit     *events.Exit `json:"exit,omitempty"`
	Complete *bool        `json:"complete,omitempty"`

	Events      int64 `json:"events"`      // in its spool
	Bytes       int64 `json:"bytes"`       // of its spool
	Subscribers int   `json:"subscribers"` // connections that read it now
	Detached    bool  `json:"detached"`    // it continues without its client
	Manifest    bool  `json:"manifest"`    // it has one
}

// Command returns the arguments of the command, whether they are UTF-8 or not.
func (s *SessionInfo) Command() []string { return jsonstring.JoinAll(s.Argv, s.ArgvBase64) }

// Directory returns the directory in which the command was started.
func (s *SessionInfo) Directory() string { return jsonstring.Join(s.Cwd, s.CwdBase64) }

// A CheckResult is the answer of [Client.Check], in the form of fstrace check --json.
type CheckResult struct {
	Status  string        `json:"status"` // "valid", "stale", "unknown"
	Error   string        `json:"error,omitempty"`
	Reasons []CheckReason `json:"reasons"`
}

// A CheckReason is one reason why a manifest is stale: a [manifest.Difference]. A Path
// that is not UTF-8 is in PathBase64. Added and Gone are quoted as [events.Quote] does.
type CheckReason struct {
	Reason     string   `json:"reason"`
	Path       string   `json:"path,omitempty"`
	PathBase64 []byte   `json:"pathBase64,omitempty"`
	Detail     string   `json:"detail,omitempty"`
	Added      []string `json:"added,omitempty"`
	Gone       []string `json:"gone,omitempty"`
}

// A ServerInfo is what a daemon says about itself.
type ServerInfo struct {
	Version string `json:"version"` // of fstrace
	PID     int    `json:"pid"`
	UID     int    `json:"uid"`
	Started string `json:"started"` // RFC 3339
	Socket  string `json:"socket"`  // the path where it listens
	// LaunchVersion must be [tracer.LaunchVersion] of the client for RunRequest.Launch.
	LaunchVersion int    `json:"launchVersion"`
	Limits        Limits `json:"limits"`
	// Features lists what the daemon has and earlier versions lack.
	Features []string `json:"features,omitempty"`
}

// Features that a daemon may lack. [ServerInfo] lists those of a daemon.
const (
	// FeatureDescriptors: manifests and records as descriptors.
	FeatureDescriptors = "descriptors"
	// FeatureFilter: only and ignore of Subscribe.
	FeatureFilter = "filter"
	// FeatureMonitor: notices of sessions that begin and end.
	FeatureMonitor = "monitor"
	// FeatureLabel: labels of sessions.
	FeatureLabel = "label"
	// FeatureBatch: the size and the latency of replies with events.
	FeatureBatch = "batch"
	// FeatureLimits: limits and nice of Run.
	FeatureLimits = "limits"
	// FeatureUsage: use of resources in a result.
	FeatureUsage = "usage"
)

// features are those of this version, in the order in which they came.
var features = []string{FeatureDescriptors, FeatureFilter, FeatureMonitor, FeatureLabel, FeatureBatch, FeatureLimits, FeatureUsage}

// Limits are the limits of a server.
type Limits struct {
	Sessions     int `json:"sessions"`     // that run at the same time
	Connections  int `json:"connections"`  // at the same time
	MessageBytes int `json:"messageBytes"` // of one message to the server
	Descriptors  int `json:"descriptors"`  // with one message
	// MemoryBytes is how much memory the messages that are being handled may use
	// together.
	MemoryBytes int64 `json:"memoryBytes"`

	// Limits of retained sessions.

	RetainSessions int   `json:"retainSessions"`
	RetainSeconds  int64 `json:"retainSeconds"`
	SpoolBytes     int64 `json:"spoolBytes"` // of all sessions together, running ones too
}

// Statistics are counters since the start of a server (those whose names end in Total or
// Refused), and its present state. SessionsKept are retained sessions. SpoolBytes are
// those of all spools, HeapBytes those of the Go heap.
type Statistics struct {
	SessionsRunning    int    `json:"sessionsRunning"`
	SessionsKept       int    `json:"sessionsKept"`
	SessionsTotal      uint64 `json:"sessionsTotal"`
	Connections        int    `json:"connections"`
	ConnectionsTotal   uint64 `json:"connectionsTotal"`
	ConnectionsRefused uint64 `json:"connectionsRefused"`
	Subscribers        int    `json:"subscribers"`
	EventsTotal        uint64 `json:"eventsTotal"`
	SpoolBytes         int64  `json:"spoolBytes"`
	HeapBytes          uint64 `json:"heapBytes"`
}
