package shim

import (
	"go/ast"
	"go/parser"
	"go/token"
	"go/types"
	"testing"
)

// TestInstall: the shim installs the filter with the flags with which package seccomp's
// Install does. The shim cannot import that package.
func TestInstall(t *testing.T) {
	shim, numbers := constants(t, "launch.go"), constants(t, "../../../seccomp/sys_linux.go")
	for _, name := range []string{"setModeFilter", "flagSpecAllow", "flagNewListener", "flagWaitKillable"} {
		if shim[name] == "" || shim[name] != numbers[name] {
			t.Errorf("%s: %q here, %q in package seccomp", name, shim[name], numbers[name])
		}
	}
	install := parse(t, "../../../seccomp/install.go")
	flags := ""
	ast.Inspect(install, func(n ast.Node) bool {
		if a, ok := n.(*ast.AssignStmt); ok && flags == "" && types.ExprString(a.Lhs[0]) == "flags" {
			flags = types.ExprString(a.Rhs[0].(*ast.CallExpr).Args[0]) // uintptr(…)
		}
		return true
	})
	if flags == "" || flags != shim["full"] {
		t.Errorf("flags %q here, %q in package seccomp", shim["full"], flags)
	}
}

func parse(t *testing.T, name string) *ast.File {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// constants returns the constants of a file, as they are written.
func constants(t *testing.T, name string) map[string]string {
	t.Helper()
	all := map[string]string{}
	ast.Inspect(parse(t, name), func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok {
			for i := range v.Values {
				all[v.Names[i].Name] = types.ExprString(v.Values[i])
			}
		}
		return true
	})
	return all
}
