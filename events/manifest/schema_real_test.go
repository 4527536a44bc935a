package manifest

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// TestSchemaReal validates manifests that fstrace itself writes, and that they are read
// and written again without a difference.
func TestSchemaReal(t *testing.T) {
	fstrace := harness.Fstrace(t)
	s := readSchema(t)
	for name, script := range map[string]string{
		"reads":     `cat in; cat gone; ls dir; readlink link; true`,
		"writes":    `echo x >new; cat in >>in; mv new final; mkdir made; rm dir/a; ln -s in another; chmod 600 link`,
		"names":     `cat "$(printf 'new\nline')"; cat "$(printf 'caf\351')"; echo x >"$(printf 'out\377')"`,
		"killed":    `kill -SEGV $$`,
		"fails":     `exit 3`,
		"processes": `sh -c 'sh -c "cat in"' & sh -c 'exec -a odd cat in'; wait`,
		"volatile":  `cat /proc/self/maps >/dev/null; echo x | cat`,
	} {
		for _, flags := range [][]string{nil, {"--root", "."}, {"--ignore", "*.so*"}} {
			if flags != nil && name != "names" {
				continue
			}
			t.Run(name+strings.Join(flags, ""), func(t *testing.T) {
				dir := t.TempDir()
				for _, file := range []string{"in", "dir/a", "dir/b", "new\nline", "caf\xe9"} {
					path := filepath.Join(dir, file)
					if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
						t.Fatal(err)
					}
					if err := os.WriteFile(path, []byte(file), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.Symlink("in", filepath.Join(dir, "link")); err != nil {
					t.Fatal(err)
				}
				doc := filepath.Join(t.TempDir(), "m.json")
				args := append(append([]string{"-q", "-f", "manifest", "-o", doc}, flags...), "--", "sh", "-c", script)
				cmd := exec.Command(fstrace, args...)
				cmd.Dir, cmd.Env = dir, append(os.Environ(), "XDG_CACHE_HOME="+t.TempDir())
				_ = cmd.Run() // as the command ends
				data, err := os.ReadFile(doc)
				if err != nil {
					t.Fatal(err)
				}
				if err := s.validate(data); err != nil {
					t.Errorf("%v\n%s", err, data)
				}
				m, err := Decode(bytes.NewReader(data))
				if err != nil {
					t.Fatalf("%v\n%s", err, data)
				}
				var again bytes.Buffer
				if err := m.Encode(&again); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(again.Bytes(), data) {
					t.Errorf("written again, it differs:\n%s\n%s", data, &again)
				}
			})
		}
	}
}
