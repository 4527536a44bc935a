package manifest

import (
	"crypto/sha256"
	"fmt"
	"reflect"
	"testing"

	"github.com/fstrace/fstrace/events"
)

// TestDigestCounts: each field of an entry counts, but for Told and Names.
func TestDigestCounts(t *testing.T) {
	digest := func(e Entry) string {
		var c counted
		c.add(e.Path)
		c.addFacts(&e)
		d := digester{Hash: sha256.New()}
		d.begin("inputs")
		d.count(&c)
		return string(d.Sum(nil))
	}
	want := digest(newEntry("/a", events.StateFile))
	for i := range reflect.TypeFor[Entry]().NumField() {
		e := newEntry("/a", events.StateFile)
		switch f := reflect.ValueOf(&e).Elem().Field(i); f.Kind() {
		case reflect.String:
			f.SetString(f.String() + "x")
		case reflect.Bool:
			f.SetBool(true)
		case reflect.Int64:
			f.SetInt(f.Int() + 1)
		case reflect.Uint32, reflect.Uint8:
			f.SetUint(f.Uint() + 1)
		case reflect.Slice:
			f.Set(reflect.MakeSlice(f.Type(), 1, 1))
		case reflect.Struct:
			f.Set(reflect.Zero(f.Type()))
		default:
			t.Fatalf("%s: what is another value of it?", f.Type())
		}
		name := reflect.TypeFor[Entry]().Field(i).Name
		if counts := digest(e) != want; counts != (name != "Told" && name != "Names") {
			t.Errorf("%s: counts: %t", name, counts)
		}
	}
}

// TestDigestPieces: it does not matter how the rows are divided.
func TestDigestPieces(t *testing.T) {
	var paths []string
	for i := range 12 {
		paths = append(paths, fmt.Sprintf("/%d/%d", i/3, i))
	}
	digest := func(from, to int) string { // a piece ends there
		d := digester{Hash: sha256.New()}
		d.begin("removed")
		for _, list := range [][]string{paths[:from], paths[from:to], paths[to:]} {
			var c counted
			for _, path := range list {
				c.add(path)
			}
			d.count(&c)
		}
		return string(d.Sum(nil))
	}
	want := digest(0, 0)
	for to := range len(paths) + 1 {
		for from := range to + 1 {
			if digest(from, to) != want {
				t.Errorf("pieces end at %d and %d: another digest", from, to)
			}
		}
	}
}
