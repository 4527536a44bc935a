package varlink

import (
	"encoding/json"
	"testing"
)

// FuzzInspect: the inspector reads to the end of what is valid, and no further.
func FuzzInspect(f *testing.F) {
	f.Add([]byte(`{"method":"a.b","parameters":{"argv":["\ud83d\ude00",1,[{}],{"a":null}],"cwd":"/"}}`))
	f.Add([]byte(`{"a":1,"b":-1.5e7,"c":true,"d":[],"e":{}} `))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = DecodeCall(data)
		if !json.Valid(data) {
			return
		}
		_ = DecodeParameters(data, new(struct {
			Argv []string `json:"argv" check:"nonempty"`
			Cwd  *string  `json:"cwd"`
		}))
		i := inspector{data: data}
		i.space()
		if err := i.value(nil, "", false); err != nil {
			return
		}
		if i.space(); i.at != len(data) {
			t.Errorf("%q: read to %d", data, i.at)
		}
		i = inspector{data: data}
		i.space()
		i.skip()
		if i.space(); i.at != len(data) {
			t.Errorf("%q: skipped to %d", data, i.at)
		}
	})
}
