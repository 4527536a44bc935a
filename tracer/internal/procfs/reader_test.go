package procfs

import (
	"os"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestDeletedDescriptors: a name may end like that of a removed file.
func TestDeletedDescriptors(t *testing.T) {
	dir := harness.TempTree(t)
	harness.Mkdir(t, dir+"/rm")
	odd := harness.OpenFile(t, dir+"/odd (deleted)", os.O_CREATE|os.O_RDWR)
	removed := harness.OpenFile(t, dir+"/gone", os.O_CREATE|os.O_RDWR)
	sub := harness.OpenFile(t, dir+"/rm", os.O_RDONLY)
	for _, name := range []string{"gone", "rm"} {
		if err := os.Remove(dir + "/" + name); err != nil {
			t.Fatal(err)
		}
	}
	var p Reader
	for _, test := range []struct {
		f    *os.File
		want Place
	}{
		{odd, Place{Path: dir + "/odd (deleted)"}},
		{removed, Place{Path: dir + "/gone", Gone: true}},
		{sub, Place{Path: dir + "/rm", Gone: true}},
	} {
		if got, err := p.Descriptor(os.Getpid(), int(test.f.Fd())); err != nil || got != test.want {
			t.Errorf("descriptor of %s: %+v, %v, want %+v", test.f.Name(), got, err, test.want)
		}
	}
}
