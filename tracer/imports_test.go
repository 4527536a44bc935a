package tracer

import (
	"fmt"
	"go/ast"
	"go/build"
	"go/parser"
	"go/token"
	"go/types"
	"io/fs"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// The architecture, as a check: which package imports which, where unsafe is, and that
// nothing global changes after init.

const modulePath = "github.com/fstrace/fstrace"

// mayImport says which packages of fstrace each may import. A package that is not
// here has no place in the architecture yet.
var mayImport = map[string][]string{
	"events":                    {"internal/jsonstring"},
	"events/manifest":           {"events", "internal/jsonstring", "internal/certain"},
	"events/summary":            {"events"},
	"seccomp":                   {},
	"tracer":                    {"tracer/internal/recorder", "tracer/internal/observe", "tracer/internal/resolve", "tracer/internal/procfs", "tracer/internal/failpoint", "tracer/internal/sys", "tracer/internal/syscalls", "tracer/internal/shim", "tracer/internal/nested", "seccomp", "events"},
	"tracer/internal/shim":      {},
	"tracer/internal/observe":   {"internal/certain", "tracer/internal/resolve", "tracer/internal/procfs", "tracer/internal/sys", "tracer/internal/syscalls", "seccomp", "events"},
	"tracer/internal/resolve":   {"tracer/internal/procfs", "tracer/internal/sys", "events"},
	"tracer/internal/procfs":    {"tracer/internal/sys", "events"},
	"tracer/internal/sys":       {},
	"tracer/internal/failpoint": {},
	"tracer/jobcontrol":         {"tracer/internal/procfs", "tracer/internal/shim", "tracer/internal/failpoint"},
	"tracer/internal/syscalls":  {"tracer/internal/shim", "seccomp", "events"},
	"tracer/internal/recorder":  {"seccomp", "events"},
	"tracer/internal/nested":    {"events"},
	"cache":                     {"events", "events/manifest"},
	"cache/remote":              {"cache"},
	"ipc":                       {"tracer", "events", "events/manifest", "ipc/internal/varlink", "internal/jsonstring"},
	"ipc/internal/varlink":      {},
	"internal/jsonstring":       {},
	"internal/certain":          {"events"},

	"docs":                       {},
	"docs/examples/minibuild":    {"ipc"},
	"docs/examples/whatmakeread": {"tracer", "events"},
}

// mains may import anything of fstrace.
const mains = "cmd/"

// forTests are what the tests of any package may import.
var forTests = []string{"testdata/fixed", "testdata/harness"}

// written are the variables that something else than Go fills: shim's saved by the
// process's first instructions, before the Go runtime runs; the others are embedded
// files.
var written = []string{"tracer/internal/shim.saved", "ipc.Schema", "ipc.serviceSchema"}

// A sourceFile is one Go file of the repository, by its path from the root.
type sourceFile struct {
	name string
	ast  *ast.File
}

func (f *sourceFile) dir() string  { return filepath.Dir(f.name) }
func (f *sourceFile) isTest() bool { return strings.HasSuffix(f.name, "_test.go") }

// imports returns the packages of fstrace that a file imports, from the root.
func (f *sourceFile) imports() (list []string) {
	for _, spec := range f.ast.Imports {
		if name, ok := strings.CutPrefix(importPath(spec), modulePath+"/"); ok {
			list = append(list, name)
		}
	}
	return list
}

func importPath(spec *ast.ImportSpec) string {
	name, _ := strconv.Unquote(spec.Path.Value) // the parser has seen it
	return name
}

// repository parses every Go file but those that tests run as programs.
func repository(t *testing.T) (*token.FileSet, []*sourceFile) {
	t.Helper()
	const root = ".."
	fset, files := token.NewFileSet(), []*sourceFile(nil)
	err := filepath.WalkDir(root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		base := entry.Name()
		switch {
		case entry.IsDir() && (base == "testdata" || name != root && strings.HasPrefix(base, ".")):
			return filepath.SkipDir
		case entry.IsDir() || !strings.HasSuffix(base, ".go"):
			return nil
		}
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(root, name)
		files = append(files, &sourceFile{name: filepath.ToSlash(rel), ast: file})
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if !slices.ContainsFunc(files, func(f *sourceFile) bool { return f.name == "tracer/imports_test.go" }) {
		t.Fatalf("the repository is not at %s: %d files", root, len(files))
	}
	return fset, files
}

// examples are the files whose examples show packages together.
const examples = "example_test.go"

// badImports returns what a file may not import.
func badImports(dir string, isTest bool, imports []string) (bad []string) {
	if strings.HasPrefix(dir, mains) {
		return nil
	}
	allowed, ok := mayImport[dir]
	if !ok {
		return []string{"(the package has no rule)"}
	}
	for _, name := range imports {
		if !slices.Contains(allowed, name) && (!isTest || name != dir && !slices.Contains(forTests, name)) { // dir: a test of package p_test
			bad = append(bad, name)
		}
	}
	return bad
}

func TestImports(t *testing.T) {
	_, files := repository(t)
	for _, f := range files {
		if filepath.Base(f.name) == examples {
			continue
		}
		if bad := badImports(f.dir(), f.isTest(), f.imports()); len(bad) > 0 {
			t.Errorf("%s may not import %s", f.name, strings.Join(bad, ", "))
		}
	}
}

func TestUnsafe(t *testing.T) {
	_, files := repository(t)
	has := make(map[string][]string)
	for _, f := range files {
		if !slices.ContainsFunc(f.ast.Imports, func(spec *ast.ImportSpec) bool { return importPath(spec) == "unsafe" }) {
			continue
		}
		if base := filepath.Base(f.name); !strings.HasPrefix(base, "sys_linux") || f.isTest() {
			t.Errorf("%s imports unsafe, which only files named sys_linux*.go may", f.name)
		}
		has[f.dir()] = append(has[f.dir()], f.name)
	}
	for dir, names := range has {
		if len(names) > 1 {
			t.Errorf("%s imports unsafe in %v: one file may", dir, names)
		}
	}
}

// TestGlobals: package-level variables are what they are made, or what init makes
// them. It sees assignments to them, to their fields and to their elements; not what
// is done through a pointer.
func TestGlobals(t *testing.T) {
	fset, files := repository(t)
	for _, arch := range []string{"amd64", "arm64"} {
		byDir := make(map[string][]*ast.File)
		context := build.Default
		context.GOOS, context.GOARCH = "linux", arch
		for _, f := range files {
			match, err := context.MatchFile(filepath.Join("..", f.dir()), filepath.Base(f.name))
			if err != nil {
				t.Fatal(err)
			}
			if match && !f.isTest() {
				byDir[f.dir()] = append(byDir[f.dir()], f.ast)
			}
		}
		for dir, list := range byDir {
			for _, problem := range changingGlobals(fset, dir, list) {
				t.Errorf("%s: %s", arch, problem)
			}
		}
	}
}

// noImports stands for every imported package: what is asked here concerns the
// package's own names alone.
type noImports struct{}

func (noImports) Import(name string) (*types.Package, error) {
	p := types.NewPackage(name, filepath.Base(name))
	p.MarkComplete()
	return p, nil
}

// changingGlobals lists the package-level variables that change after init.
func changingGlobals(fset *token.FileSet, dir string, files []*ast.File) (problems []string) {
	info := &types.Info{Uses: make(map[*ast.Ident]types.Object), Defs: make(map[*ast.Ident]types.Object)}
	config := types.Config{Importer: noImports{}, Error: func(error) {}} // of what is imported nothing is known
	pkg, _ := config.Check(dir, fset, files, info)
	report := func(at token.Pos, what string, id *ast.Ident) {
		problems = append(problems, fmt.Sprintf("%s: the global %s %s", fset.Position(at), id.Name, what))
	}
	change := func(e ast.Expr) {
		if id := rootOf(e); id != nil && id.Name != "_" {
			if v, ok := info.Uses[id].(*types.Var); ok && v.Parent() == pkg.Scope() {
				report(id.Pos(), "is changed", id)
			}
		}
	}
	for _, file := range files {
		for _, decl := range file.Decls {
			switch decl := decl.(type) {
			case *ast.GenDecl:
				for _, id := range emptyVariables(decl) {
					if !slices.Contains(written, dir+"."+id.Name) {
						report(id.Pos(), "has no value of its own: it is useless, or something changes it", id)
					}
				}
			case *ast.FuncDecl:
				if decl.Recv == nil && decl.Name.Name == "init" {
					continue
				}
				ast.Inspect(decl, func(n ast.Node) bool {
					changes(n, change)
					return true
				})
			}
		}
	}
	return problems
}

// changes calls change with each expression that a node assigns to.
func changes(n ast.Node, change func(ast.Expr)) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, e := range n.Lhs {
			change(e)
		}
	case *ast.IncDecStmt:
		change(n.X)
	case *ast.RangeStmt:
		if n.Tok == token.ASSIGN {
			change(n.Key)
			change(n.Value)
		}
	case *ast.CallExpr:
		if id, ok := n.Fun.(*ast.Ident); ok && (id.Name == "delete" || id.Name == "clear") && len(n.Args) > 0 {
			change(n.Args[0])
		}
	}
}

// rootOf returns the variable that an expression is a part of, or nil.
func rootOf(e ast.Expr) *ast.Ident {
	for {
		switch x := e.(type) {
		case *ast.Ident:
			return x
		case *ast.SelectorExpr:
			e = x.X
		case *ast.IndexExpr:
			e = x.X
		case *ast.StarExpr:
			e = x.X
		case *ast.ParenExpr:
			e = x.X
		default:
			return nil
		}
	}
}

// emptyVariables returns the names of a declaration's variables without a value.
func emptyVariables(decl *ast.GenDecl) (list []*ast.Ident) {
	for _, spec := range decl.Specs {
		if v, ok := spec.(*ast.ValueSpec); ok && decl.Tok == token.VAR && len(v.Values) == 0 {
			list = append(list, v.Names...)
		}
	}
	return list
}

// TestArchitectureChecks has each rule find what it is there for.
func TestArchitectureChecks(t *testing.T) {
	for _, bad := range []struct {
		dir     string
		imports []string
	}{
		{"events", []string{"tracer"}},
		{"seccomp", []string{"events"}},
		{"tracer", []string{"ipc"}},
		{"tracer/internal/shim", []string{"seccomp"}},
		{"tracer", []string{"events/manifest"}},
		{"ipc", []string{"seccomp"}},
		{"elsewhere", nil},
	} {
		if len(badImports(bad.dir, false, bad.imports)) == 0 {
			t.Errorf("%s may import %v", bad.dir, bad.imports)
		}
	}
	const source = `package p
import "sync"
var table = map[string]int{}
var list = []int{1}
var count = 0
var once sync.Once
var fine = 1
var made = 0
func init() { made = 1 }
func f() {
	table["a"] = 1
	list[0]++
	count = 2
	delete(table, "a")
	for count = range 3 {
	}
	fine := 2
	fine = 3
	_ = fine
}
`
	fset := token.NewFileSet()
	file, err := parser.ParseFile(fset, "p.go", source, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, problem := range changingGlobals(fset, "p", []*ast.File{file}) {
		lines = append(lines, strings.Split(problem, ":")[1])
	}
	if want := []string{"6", "11", "12", "13", "14", "15"}; !slices.Equal(lines, want) {
		t.Errorf("problems in lines %v, want %v", lines, want)
	}
}
