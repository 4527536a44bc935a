package tracer

import (
	"encoding"
	"testing"
)

// TestPolicies: each policy has a word, and no other word is one.
func TestPolicies(t *testing.T) {
	for word, p := range map[string]struct {
		value encoding.TextMarshaler
		into  encoding.TextUnmarshaler
	}{
		"deny": {IOUringDeny, new(IOUringPolicy)}, "allow": {IOUringAllow, new(IOUringPolicy)},
		"ptrace": {LifecyclePtrace, new(Lifecycle)}, "notify": {LifecycleNotify, new(Lifecycle)},
		"off": {RecorderOff, new(RecorderPolicy)}, "auto": {RecorderAuto, new(RecorderPolicy)},
		"root": {WaitRoot, new(WaitPolicy)}, "all": {WaitAll, new(WaitPolicy)},
	} {
		text, err := p.value.MarshalText()
		if err != nil || string(text) != word {
			t.Errorf("%v: %q, %v", p.value, text, err)
		}
		if err := p.into.UnmarshalText(text); err != nil {
			t.Errorf("%s: %v", word, err)
		}
		if back, _ := p.into.(encoding.TextMarshaler).MarshalText(); string(back) != word {
			t.Errorf("%s is read as %s", word, back)
		}
		if err := p.into.UnmarshalText([]byte(word + "s")); err == nil {
			t.Errorf("%ss: no error", word)
		}
	}
	if _, err := WaitPolicy(2).MarshalText(); err == nil {
		t.Error("a policy that there is not has a word")
	}
}
