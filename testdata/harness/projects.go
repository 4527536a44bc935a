package harness

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// ReadTree describes each file below dir: its type, its mode and its content.
func ReadTree(t testing.TB, dir string) map[string]string {
	t.Helper()
	tree := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		content := ""
		switch {
		case d.Type() == fs.ModeSymlink:
			content, err = os.Readlink(name)
		case d.Type().IsRegular():
			var b []byte
			b, err = os.ReadFile(name)
			content = fmt.Sprintf("%d bytes %x", len(b), sha256.Sum256(b))
		}
		rel, _ := filepath.Rel(dir, name)
		tree[rel] = fmt.Sprintf("%v %s", info.Mode(), content)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return tree
}

// WebModules returns a directory with the packages that the lock file of projects/web
// names. It is kept in the user's cache directory, under a name made from the lock file,
// so that the registry is asked once.
func WebModules(t testing.TB) string {
	t.Helper()
	lock, err := os.ReadFile(Source("testdata", "projects", "web", "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(cache, "fstrace-test", fmt.Sprintf("web-%.8x", sha256.Sum256(lock)))
	if _, err := os.Stat(filepath.Join(kept, "node_modules")); err == nil {
		return kept
	}

	Mkdir(t, filepath.Dir(kept))
	tmp, err := os.MkdirTemp(filepath.Dir(kept), "install-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		content, err := os.ReadFile(Source("testdata", "projects", "web", name))
		if err != nil {
			t.Fatal(err)
		}
		WriteFile(t, filepath.Join(tmp, name), string(content))
	}
	install := exec.Command(NeedTool(t, "npm"), "ci", "--ignore-scripts", "--silent")
	install.Dir = tmp
	if out, err := install.CombinedOutput(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("npm ci: %v\n%s", err, out)
		}
		t.Skipf("needs the packages of testdata/projects/web: npm ci: %v\n%s", err, out)
	}
	// Another test process may have been first: then its directory does as well.
	if err := os.Rename(tmp, kept); err != nil && !os.IsExist(err) {
		t.Fatal(err)
	}
	return kept
}
