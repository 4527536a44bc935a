package ipc

import (
	"encoding"
	"path/filepath"
	"strings"
	"time"

	"github.com/fstrace/fstrace/internal/jsonstring"
	"github.com/fstrace/fstrace/tracer"
)

// command checks what a client asks for.
func (p *wireRun) command() (*tracer.Cmd, error) {
	argv, env, cwd := jsonstring.JoinAll(p.Argv, p.ArgvBase64), jsonstring.JoinAll(p.Env, p.EnvBase64), jsonstring.Join(p.Cwd, p.CwdBase64)
	switch {
	case p.Argv != nil && p.ArgvBase64 != nil:
		return nil, invalidParameter("argvBase64") // one of the two
	case p.Env != nil && p.EnvBase64 != nil:
		return nil, invalidParameter("envBase64")
	case p.Cwd != "" && p.CwdBase64 != nil:
		return nil, invalidParameter("cwdBase64")
	case len(argv) == 0 || hasNUL(argv):
		return nil, invalidParameter("argv")
	case p.Env == nil && p.EnvBase64 == nil || hasNUL(env):
		return nil, invalidParameter("env")
	case !filepath.IsAbs(cwd) || hasNUL([]string{cwd}):
		return nil, invalidParameter("cwd")
	case p.Umask != nil && (*p.Umask < 0 || *p.Umask > 0o777):
		return nil, invalidParameter("umask")
	}
	if env == nil {
		env = []string{}
	}
	mask := 0o022
	if p.Umask != nil {
		mask = *p.Umask
	}
	c := &tracer.Cmd{Path: argv[0], Args: argv, Env: env, Dir: cwd, Umask: &mask, Setsid: true, KillAfter: 10 * time.Second}
	if err := p.limits(c); err != nil {
		return nil, err
	}
	return c, p.Options.apply(c)
}

func hasNUL(list []string) bool {
	for _, s := range list {
		if strings.IndexByte(s, 0) >= 0 {
			return true
		}
	}
	return false
}

// maxPatterns is how many patterns a list may have: each event is compared with them.
const maxPatterns = 1000

// apply sets what the options say.
func (o *Options) apply(c *tracer.Cmd) error {
	for _, option := range []struct {
		name, word string
		value      encoding.TextUnmarshaler
	}{
		{"wait", o.Wait, &c.WaitFor},
		{"lifecycle", o.Lifecycle, &c.Lifecycle},
		{"ioUring", o.IOUring, &c.IOUring},
		{"recorder", o.Recorder, &c.Recorder},
	} {
		if option.word != "" && option.value.UnmarshalText([]byte(option.word)) != nil {
			return invalidParameter("options." + option.name)
		}
	}
	if !validMilliseconds(o.TimeoutMs) {
		return invalidParameter("options.timeoutMs")
	}
	c.Timeout = time.Duration(o.TimeoutMs) * time.Millisecond
	if o.KillAfterMs != nil {
		if !validMilliseconds(*o.KillAfterMs) {
			return invalidParameter("options.killAfterMs")
		}
		c.KillAfter = time.Duration(*o.KillAfterMs) * time.Millisecond
	}
	if o.Root != "" && (!filepath.IsAbs(o.Root) || filepath.Clean(o.Root) != o.Root || hasNUL([]string{o.Root})) {
		return invalidParameter("options.root")
	}
	if len(o.Label) > longestLabel {
		return invalidParameter("options.label")
	}
	_, err := o.view()
	return err
}

// longestLabel is how many bytes a label may have.
const longestLabel = 256

// view is how the caller of Run wants the events. What the patterns leave out is not
// recorded at all.
func (o *Options) view() (*view, error) {
	v, err := newView(1, o.Only, o.Ignore, o.BatchBytes, o.LatencyMs, "options.")
	if err == nil {
		v.only, v.ignore = nil, nil
	}
	return v, err
}
