package programs

import (
	"path/filepath"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
)

// fillWeb gives the TypeScript project its compilers. They lie one directory
// up, where node finds them, and are not restored between runs: nothing writes
// there.
func fillWeb(t testing.TB, b *bench) {
	copyProject("web")(t, b)
	b.mustRun(t, "cp", "-a", filepath.Join(harness.WebModules(t), "node_modules"), b.base)
}
