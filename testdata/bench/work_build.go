package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// find returns the path of a program.
func find(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err != nil {
		return "", errMissing{err}
	}
	return path, nil
}

// project copies one of the repository's sample projects.
func (l *lab) project(name, dir string) error {
	return os.CopyFS(dir, os.DirFS(filepath.Join(l.root, "testdata", "projects", name)))
}

func writeFile(name, format string, args ...any) error {
	return os.WriteFile(name, fmt.Appendf(nil, format, args...), 0o644)
}

// fillGCC makes thirty C files of some size and a Makefile that builds a program of
// them.
func fillGCC(l *lab, dir string) (*prepared, error) {
	makeTool, err := find("make")
	if err != nil {
		return nil, err
	}
	const functions = 8
	p := &prepared{command: command{argv: []string{makeTool, "-j2"}}, remove: []string{filepath.Join(dir, "program")}}
	objects := []string{"main.o"}
	var calls strings.Builder
	for i := range l.scaled(30) {
		var text strings.Builder
		for _, header := range []string{"ctype", "errno", "fcntl", "math", "stdio", "stdlib", "string", "sys/stat", "time", "unistd"} {
			fmt.Fprintf(&text, "#include <%s.h>\n", header)
		}
		fmt.Fprintf(&text, "#include \"shared.h\"\n")
		for f := range functions {
			fmt.Fprintf(&text, `
static int f%d(char *s, int n)
{
	for (int i = 0; i < n; i++)
		s[i] = isalpha((unsigned char)s[i]) ? toupper((unsigned char)s[i]) : (s[i] + %d) %% (MODULUS + i);
	return printf("%%d %%.*s\n", %d, n, s);
}
`, f, f, f)
		}
		fmt.Fprintf(&text, "\nint part%d(char *s, int n)\n{\n\treturn 0", i)
		for f := range functions {
			fmt.Fprintf(&text, " + f%d(s, n)", f)
		}
		fmt.Fprint(&text, ";\n}\n")
		if err := writeFile(filepath.Join(dir, fmt.Sprintf("part%d.c", i)), "%s", text.String()); err != nil {
			return nil, err
		}
		objects = append(objects, fmt.Sprintf("part%d.o", i))
		fmt.Fprintf(&calls, "\tsum += part%d(s, sizeof s);\n", i)
	}
	for _, object := range objects {
		p.remove = append(p.remove, filepath.Join(dir, object))
	}
	prototypes := strings.NewReplacer("\tsum += part", "int part", "(s, sizeof s)", "(char *, int)").Replace(calls.String())
	for name, text := range map[string]string{
		"shared.h": "#define MODULUS 128\n" + prototypes,
		"main.c":   "#include \"shared.h\"\n\nint main(void)\n{\n\tchar s[64] = \"text\";\n\tint sum = 0;\n" + calls.String() + "\treturn sum;\n}\n",
		"Makefile": "OBJECTS := " + strings.Join(objects, " ") + "\nCFLAGS := -O2\n\nprogram: $(OBJECTS)\n\t$(CC) -o $@ $(OBJECTS)\n\n$(OBJECTS): shared.h\n",
	} {
		if err := writeFile(filepath.Join(dir, name), "%s", text); err != nil {
			return nil, err
		}
	}
	return p, nil
}

func fillCMake(l *lab, dir string) (*prepared, error) {
	cmake, err := find("cmake")
	if err != nil {
		return nil, err
	}
	return &prepared{
		command: command{argv: []string{cmake, "-S", ".", "-B", "build"}},
		remove:  []string{filepath.Join(dir, "build")},
	}, l.project("cmake", dir)
}

// fillGoList gives the go command a home of its own, without counters that it would
// have to look after now and then.
func fillGoList(l *lab, dir string) (*prepared, error) {
	goTool, err := find("go")
	if err != nil {
		return nil, err
	}
	telemetry := filepath.Join(dir, ".config", "go", "telemetry")
	if err := os.MkdirAll(telemetry, 0o755); err != nil {
		return nil, err
	}
	return &prepared{command: command{
		argv: []string{goTool, "list", "-deps", "cmd/go"},
		env:  []string{"HOME=" + dir, "GOTOOLCHAIN=local", "GOPROXY=off", "GOENV=off", "GOFLAGS="},
	}}, writeFile(filepath.Join(telemetry, "mode"), "off\n")
}
