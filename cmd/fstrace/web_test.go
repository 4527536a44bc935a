package main_test

import (
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// fillWeb gives the TypeScript project its compilers. They lie one directory
// up, where node finds them, and are not restored between runs: nothing writes
// there.
func fillWeb(t testing.TB, b *bench) {
	copyProject("web")(t, b)
	b.mustRun(t, "cp", "-a", filepath.Join(webModules(t), "node_modules"), b.base)
}

// webModules returns a directory with what the web project's lock file names,
// installed. It is kept in the user's cache, under a name made from the lock
// file, so that the registry is asked once and not at every run.
func webModules(t testing.TB) string {
	t.Helper()
	lock, err := os.ReadFile(filepath.Join(projectDir("web"), "package-lock.json"))
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

	mkdir(t, filepath.Dir(kept))
	tmp, err := os.MkdirTemp(filepath.Dir(kept), "install-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(tmp)
	for _, name := range []string{"package.json", "package-lock.json", ".npmrc"} {
		content, err := os.ReadFile(filepath.Join(projectDir("web"), name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, filepath.Join(tmp, name), string(content))
	}
	install := exec.Command(needTool(t, "npm"), "ci", "--ignore-scripts", "--silent")
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
