package manifest

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// sampleDocument is a manifest as it is written.
func sampleDocument(t testing.TB) []byte {
	t.Helper()
	var doc bytes.Buffer
	if err := sample().Encode(&doc); err != nil {
		t.Fatal(err)
	}
	return doc.Bytes()
}

// TestDamage flips each bit of a document, leaves out each line and writes each line
// twice: it is refused, or says the same.
func TestDamage(t *testing.T) {
	doc := sampleDocument(t)
	want, err := Decode(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	same := 0
	refused := func(what string, at int, damaged []byte) {
		t.Helper()
		got, err := DecodeCompared(bytes.NewReader(damaged))
		switch {
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrVersion):
		case err == nil && cmp.Equal(got, want): // a key with another case, say
			same++
		default:
			t.Errorf("%s %d: %v", what, at, err)
		}
	}
	defer func() {
		if same > len(doc) {
			t.Errorf("%d changes of %d bytes made no difference", same, len(doc))
		}
	}()
	for bit := range 8 * len(doc) {
		damaged := bytes.Clone(doc)
		damaged[bit/8] ^= 1 << (bit % 8)
		refused("bit", bit, damaged)
	}
	lines := strings.SplitAfter(string(doc), "\n")
	for i := range lines[:len(lines)-1] {
		before, after := strings.Join(lines[:i], ""), strings.Join(lines[i+1:], "")
		refused("without line", i, []byte(before+after))
		refused("twice line", i, []byte(before+lines[i]+lines[i]+after))
	}
}

// TestWrittenAnew: a document that another program has parsed and written is the same.
func TestWrittenAnew(t *testing.T) {
	doc := sampleDocument(t)
	want, err := Decode(bytes.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	var indented bytes.Buffer
	if err := json.Indent(&indented, doc, "", "\t"); err != nil {
		t.Fatal(err)
	}
	var value map[string]any
	if err := json.Unmarshal(doc, &value); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(value) // keys in another order, < and > escaped
	if err != nil {
		t.Fatal(err)
	}
	for _, doc := range [][]byte{indented.Bytes(), again} {
		for _, decode := range []func(io.Reader) (*Manifest, error){Decode, DecodeCompared} {
			got, err := decode(bytes.NewReader(doc))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Error(diff)
			}
		}
	}
	value["complete"] = true
	value["incomplete"] = []any{}
	if again, err = json.Marshal(value); err != nil {
		t.Fatal(err)
	}
	if _, err := Decode(bytes.NewReader(again)); !errors.Is(err, ErrDamaged) {
		t.Errorf("written anew with a change: %v", err)
	}
}

// FuzzDamage: a document that was changed in one place is refused, or is read as it was.
func FuzzDamage(f *testing.F) {
	doc := sampleDocument(f)
	want, err := Decode(bytes.NewReader(doc))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint(100), uint(1), []byte("3"))
	f.Add(uint(300), uint(6), []byte(`sha356`))
	f.Add(uint(2), uint(0), []byte(`"inputs":[],`))
	f.Add(uint(500), uint(5000), []byte{})
	f.Fuzz(func(t *testing.T, at, cut uint, put []byte) {
		at %= uint(len(doc))
		cut = min(cut, uint(len(doc))-at)
		changed := append(bytes.Clone(doc[:at]), put...)
		changed = append(changed, doc[at+cut:]...)
		got, err := Decode(bytes.NewReader(changed))
		switch {
		case errors.Is(err, ErrDamaged), errors.Is(err, ErrVersion):
		case err != nil:
			t.Fatalf("an error of no kind: %v", err)
		default:
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("at %d, %q instead of %q: %s", at, put, doc[at:at+cut], diff)
			}
		}
	})
}
