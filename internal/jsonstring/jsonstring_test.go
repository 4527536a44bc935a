package jsonstring

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
)

// FuzzField: what is appended is what encoding/json makes of the two fields, and is read
// back.
func FuzzField(f *testing.F) {
	for _, s := range []string{
		"", "/plain", `"\`, "\x00\b\f\n\r\t\x1f\x7f", "é\u2027\u2028\u2029\u202a\u2128", "</a>&",
		"\xff", "a\xe2\x80", "\xe2\x80\xa8\xff", "\ufffd", string(bytes.Repeat([]byte{0xfe}, 200)),
	} {
		f.Add(s, "/other")
		f.Add("/other", s)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		type fields struct {
			Path       *string  `json:"path,omitempty"`
			PathBase64 []byte   `json:"pathBase64,omitempty"`
			List       []string `json:"list,omitempty"`
			ListBase64 [][]byte `json:"listBase64,omitempty"`
		}
		list := []string{a, b}
		var want fields
		if text, bytes := Split(a); bytes == nil {
			want.Path = &text
		} else {
			want.PathBase64 = bytes
		}
		want.List, want.ListBase64 = SplitAll(list)
		var encoded bytes.Buffer
		enc := json.NewEncoder(&encoded)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(want); err != nil {
			t.Fatal(err)
		}
		got := AppendListField(AppendField(nil, `{"path`, a), `,"list`, list)
		if got = append(got, "}\n"...); !bytes.Equal(got, encoded.Bytes()) {
			t.Errorf("%q: %s, want %s", list, got, encoded.Bytes())
		}
		var back fields
		if err := json.Unmarshal(got, &back); err != nil {
			t.Fatal(err)
		}
		if back.Path == nil {
			back.Path = new(string)
		}
		if s, l := Join(*back.Path, back.PathBase64), JoinAll(back.List, back.ListBase64); s != a || !reflect.DeepEqual(l, list) {
			t.Errorf("%q came back as %q, %q", list, s, l)
		}
	})
}
