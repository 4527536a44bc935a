package observe

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/fstrace/fstrace/testdata/harness"
	"golang.org/x/sys/unix"
)

func TestShebang(t *testing.T) {
	long := "/" + strings.Repeat("i", 300)
	tests := []struct{ name, file, want string }{
		{"plain", "#!/bin/sh\n", "/bin/sh"},
		{"argument", "#!/bin/sh -e\n", "/bin/sh"},
		{"two arguments", "#!/usr/bin/env -S sh\n", "/usr/bin/env"},
		{"space before", "#! /bin/sh\n", "/bin/sh"},
		{"tabs and spaces", "#! \t /bin/sh\t-e\n", "/bin/sh"},
		{"space after", "#!/bin/sh \n", "/bin/sh"},
		{"no newline", "#!/bin/sh", "/bin/sh"},
		{"no newline, argument", "#!/bin/sh -e", "/bin/sh"},
		{"relative", "#!bin/sh\n", "bin/sh"},
		{"script after it", "#!/bin/sh\n/bin/other\n", "/bin/sh"},
		{"carriage return", "#!/bin/sh\r\n", "/bin/sh\r"},
		{"NUL", "#!/bin/sh\x00rest\n", "/bin/sh"},
		{"not UTF-8", "#!/b\xff\n", "/b\xff"},
		{"empty", "#!\n", ""},
		{"only spaces", "#!  \t \n", ""},
		{"nothing after it", "#!", ""},
		{"argument over the limit", "#!/bin/sh " + strings.Repeat("a", 300) + "\n", "/bin/sh"},
		{"at the limit", "#!" + long[:binprmSize-3] + "\n", long[:binprmSize-3]},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			path, script, err := interpreter(strings.NewReader(test.file))
			if err != nil || !script || string(path) != test.want {
				t.Errorf("%q, script %v, %v; want %q", path, script, err, test.want)
			}
		})
	}
}

// TestShebangCut: a name that reaches the end of what the kernel looks at is not
// run: ENOEXEC, load_script of Linux 5.1 and later.
func TestShebangCut(t *testing.T) {
	for _, file := range []string{
		"#!/" + strings.Repeat("i", 300) + "\n",
		"#!/" + strings.Repeat("i", binprmSize-3),
		"#! \t" + strings.Repeat("i", 300),
	} {
		if path, _, err := interpreter(strings.NewReader(file)); len(path) > 0 {
			t.Errorf("%.10q... of %d bytes: interpreter %.20q... of %d bytes, %v; the kernel runs none", file, len(file), path, len(path), err)
		}
	}
}

// TestShebangLikeKernel has the kernel run scripts whose first line is about as long
// as it looks.
func TestShebangLikeKernel(t *testing.T) {
	dir := harness.TempTree(t)
	truth, err := exec.LookPath("true")
	if err != nil {
		harness.MissingTool(t, "true")
	}
	harness.Symlink(t, truth, dir+"/i")
	for n := binprmSize - 6; n <= binprmSize+3; n++ {
		for _, end := range []string{"", "\n", " ", "\t-x\n", " -x"} {
			name := dir + "/" + strings.Repeat("/", n-len("#!")-len(dir)-len("/i")) + "i"
			if line := "#!" + name; len(line) != n {
				t.Fatalf("the line has %d bytes, want %d", len(line), n)
			}
			file := "#!" + name + end
			script := fmt.Sprintf("%s/%d-%x", dir, n, end)
			if err := os.WriteFile(script, []byte(file), 0o755); err != nil {
				t.Fatal(err)
			}
			err := exec.Command(script).Run()
			if err != nil && !errors.Is(err, unix.ENOEXEC) {
				t.Fatalf("%d bytes and %q: %v", n, end, err)
			}
			path, _, _ := interpreter(strings.NewReader(file))
			want := name
			if err != nil {
				want = ""
			}
			if string(path) != want {
				t.Fatalf("%d bytes and %q: interpreter of %d bytes, the kernel says %v", n, end, len(path), err)
			}
		}
	}
}

func TestNotProgram(t *testing.T) {
	for _, file := range []string{"", "#", "!#/bin/sh", " #!/bin/sh", "\x7fEL", "\x7fELF", "echo hello\n", "MZ"} {
		if path, script, err := interpreter(strings.NewReader(file)); !errors.Is(err, errNotProgram) {
			t.Errorf("%q: interpreter %q, script %v, %v", file, path, script, err)
		}
	}
}

// An elfFile is a synthetic program of the headers that matter.
type elfFile struct {
	wide     bool
	order    binary.ByteOrder
	before   int    // program headers before PT_INTERP
	entsize  int    // 0: as it should be
	interp   string // with its NUL
	noInterp bool
	filesz   uint64 // 0: as it should be
	phoff    uint64 // 0: as it should be
	cut      int    // bytes left out at the end
}

func (f elfFile) bytes() []byte {
	ehsize, phsize := 52, 32
	class := byte(elf.ELFCLASS32)
	if f.wide {
		ehsize, phsize, class = 64, 56, byte(elf.ELFCLASS64)
	}
	if f.entsize != 0 {
		phsize = f.entsize
	}
	data := byte(elf.ELFDATA2LSB)
	if f.order == binary.ByteOrder(binary.BigEndian) {
		data = byte(elf.ELFDATA2MSB)
	}
	count := f.before + 1
	if f.noInterp {
		count--
	}
	at := ehsize + count*phsize
	filesz := uint64(len(f.interp))
	if f.filesz != 0 {
		filesz = f.filesz
	}
	phoff := uint64(ehsize)
	if f.phoff != 0 {
		phoff = f.phoff
	}
	var b bytes.Buffer
	put := func(v any) { _ = binary.Write(&b, f.order, v) }
	ident := [elf.EI_NIDENT]byte{0x7f, 'E', 'L', 'F', class, data, 1}
	if f.wide {
		put(elf.Header64{Ident: ident, Type: 3, Machine: 62, Version: 1, Phoff: phoff, Ehsize: uint16(ehsize), Phentsize: uint16(phsize), Phnum: uint16(count)})
	} else {
		put(elf.Header32{Ident: ident, Type: 3, Machine: 3, Version: 1, Phoff: uint32(phoff), Ehsize: uint16(ehsize), Phentsize: uint16(phsize), Phnum: uint16(count)})
	}
	for i := range count {
		kind, off, size := elf.PT_LOAD, uint64(0), uint64(64)
		if i == f.before {
			kind, off, size = elf.PT_INTERP, uint64(at), filesz
		}
		start := b.Len()
		if f.wide {
			put(elf.Prog64{Type: uint32(kind), Off: off, Filesz: size, Memsz: size})
		} else {
			put(elf.Prog32{Type: uint32(kind), Off: uint32(off), Filesz: uint32(size), Memsz: uint32(size)})
		}
		for b.Len()-start < phsize {
			b.WriteByte(0)
		}
	}
	b.WriteString(f.interp)
	for b.Len() < 64 { // a real one has more
		b.WriteByte(0)
	}
	return b.Bytes()[:b.Len()-f.cut]
}

func TestELFInterpreter(t *testing.T) {
	const ld = "/lib/ld.so\x00"
	tests := []struct {
		name string
		file elfFile
		want string
	}{
		{"first header", elfFile{interp: ld}, "/lib/ld.so"},
		{"later header", elfFile{interp: ld, before: 12}, "/lib/ld.so"},
		{"larger headers", elfFile{interp: ld, before: 2, entsize: 64}, "/lib/ld.so"},
		{"none", elfFile{noInterp: true, before: 3}, ""},
		{"no program headers", elfFile{noInterp: true}, ""},
		{"text after the NUL", elfFile{interp: "/lib/ld.so\x00junk\x00"}, "/lib/ld.so"},
		{"too short", elfFile{interp: "\x00"}, ""},
		{"too long", elfFile{interp: ld, filesz: unix.PathMax + 1}, ""},
		{"far too long", elfFile{interp: ld, filesz: 1 << 31}, ""},
		{"headers far away", elfFile{interp: ld, phoff: 1 << 30}, ""},
		{"tiny headers", elfFile{noInterp: true, before: 1, entsize: 8}, ""},
		{"a path that is not there", elfFile{interp: ld, cut: len(ld)}, ""},
		{"a path that is cut off", elfFile{interp: ld, before: 4, cut: 2}, ""},
	}
	for _, test := range tests {
		for name, form := range map[string]elfFile{
			"32 little": {order: binary.LittleEndian}, "32 big": {order: binary.BigEndian},
			"64 little": {order: binary.LittleEndian, wide: true}, "64 big": {order: binary.BigEndian, wide: true},
		} {
			t.Run(test.name+" "+name, func(t *testing.T) {
				f := test.file
				f.wide, f.order = form.wide, form.order
				path, script, err := interpreter(bytes.NewReader(f.bytes()))
				if script || string(path) != test.want {
					t.Errorf("interpreter %q, script %v, %v; want %q", path, script, err, test.want)
				}
				if test.want != "" && err != nil {
					t.Error(err)
				}
			})
		}
	}
}

// TestInterpreterOfShell compares with debug/elf on programs of this machine.
func TestInterpreterOfShell(t *testing.T) {
	for _, name := range []string{"/bin/sh", "/proc/self/exe"} {
		f, err := elf.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			t.Skip(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		want := ""
		for _, p := range f.Progs {
			if p.Type == elf.PT_INTERP {
				b := make([]byte, p.Filesz)
				if _, err := p.ReadAt(b, 0); err != nil {
					t.Fatal(err)
				}
				want = strings.TrimRight(string(b), "\x00")
			}
		}
		f.Close()
		path, script, err := readInterpreter(name)
		if err != nil || script || string(path) != want {
			t.Errorf("%s: %q, script %v, %v; want %q", name, path, script, err, want)
		}
	}
}

// TestOpenProgram: looking at a program neither waits nor fails for what is no
// regular file.
func TestOpenProgram(t *testing.T) {
	dir := t.TempDir()
	if err := unix.Mkfifo(dir+"/fifo", 0o700); err != nil {
		t.Fatal(err)
	}
	var done atomic.Bool
	go func() {
		defer done.Store(true)
		if path, _, err := readInterpreter(dir + "/fifo"); err == nil {
			t.Errorf("a FIFO has the interpreter %q", path)
		}
	}()
	harness.Eventually(t, "reading a FIFO ends", done.Load)
	if path, _, err := readInterpreter(dir); err == nil {
		t.Errorf("a directory has the interpreter %q", path)
	}
	if _, _, err := readInterpreter(dir + "/none"); !errors.Is(err, unix.ENOENT) {
		t.Errorf("of what is not there: %v", err)
	}
}

// FuzzInterpreter reads what anybody may have made executable.
func FuzzInterpreter(f *testing.F) {
	for _, wide := range []bool{true, false} {
		for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
			f.Add(elfFile{wide: wide, order: order, interp: "/lib/ld.so\x00", before: 2}.bytes())
			f.Add(elfFile{wide: wide, order: order, noInterp: true, before: 2}.bytes())
		}
	}
	f.Add([]byte("#! /bin/sh -e\n"))
	f.Add([]byte("#!"))
	f.Add([]byte("\x7fELF"))
	f.Fuzz(func(t *testing.T, file []byte) {
		path, script, err := interpreter(bytes.NewReader(file))
		switch {
		case err != nil && len(path) > 0:
			t.Errorf("%q, and %v", path, err)
		case bytes.IndexByte(path, 0) >= 0 || len(path) > unix.PathMax:
			t.Errorf("no path: %q", path)
		case script && bytes.ContainsAny(path, " \t\n"):
			t.Errorf("a script's interpreter %q", path)
		case len(path) > 0 && !bytes.Contains(file, path):
			t.Errorf("%q is not in the file", path)
		}
	})
}
