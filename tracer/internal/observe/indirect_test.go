package observe

import (
	"slices"
	"testing"
)

func TestOptionPaths(t *testing.T) {
	for _, test := range []struct {
		options string
		want    []string
	}{
		{"", nil},
		{"ro,size=5m,mode=755", nil},
		{"lowerdir=/a:/b,upperdir=/u,workdir=/w", []string{"/a", "/b", "/u", "/w"}},
		{"lowerdir=a::/data,redirect_dir=on", []string{"a", "/data"}},
		{`lowerdir=/with\:colon:/with\,comma,upperdir=/back\\slash`, []string{"/with:colon", "/with,comma", `/back\slash`}},
		{"lowerdir+=/x:y,datadir+=/d", []string{"/x:y", "/d"}},
		{"device=/dev/sdb,device=/dev/sdc,noatime", []string{"/dev/sdb", "/dev/sdc"}},
		{"lowerdir", nil},
		{`upperdir=/u\`, []string{`/u\`}},
	} {
		if got := optionPaths(test.options); !slices.Equal(got, test.want) {
			t.Errorf("%s: %q, want %q", test.options, got, test.want)
		}
	}
}
