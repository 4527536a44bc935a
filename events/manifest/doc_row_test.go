package manifest

import (
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// FuzzRow: a row is read as encoding/json reads it, or refused.
func FuzzRow(f *testing.F) {
	for _, s := range []string{
		`{"path":"/a","state":"file","sha256":"00","size":12,"mode":"0644","ops":["read","stat"]}`,
		`{"path":"/a","state":"dir","entries":"00","names":["f:a","d:b"],"before":"absent","ops":[]}`,
		`{"path":"/a","path":"/b","ops":["x"],"ops":["y"]}`, `{"names":["a",{"base64":"/w=="}]}`, `{"names":[]}`, `{"names":[],"names":["a"]}`, `{"pathBase64":"/w=="}`,
		`{"size":-1}`, `{"size":1e3}`, `{"size":null}`, `{"path":"\u0041"}`, `{ "path" : "a" }`, `{"PATH":"a"}`, `{}`, `null`, `[]`, `{"x":1}`,
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if !utf8.Valid(data) {
			return // Decode refuses it
		}
		var r rowReader
		rest, ok := r.read(string(data))
		if !ok || rest != "" {
			return
		}
		var want wireEntry
		if err := json.Unmarshal(data, &want); err != nil {
			t.Fatalf("encoding/json refuses it: %v", err)
		}
		if diff := cmp.Diff(want, r.entry, cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("differs from encoding/json: %s", diff)
		}
	})
}
