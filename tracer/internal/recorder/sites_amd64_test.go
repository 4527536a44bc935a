package recorder

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// libc returns this machine's, and the file offsets of the syscall instructions that
// follow the number of a call that can be recorded.
func libc(t *testing.T) (m *Module, sites []uint64) {
	t.Helper()
	paths, _ := filepath.Glob("/lib/x86_64-linux-gnu/libc.so.6")
	if len(paths) == 0 {
		t.Skip("no glibc here")
	}
	f, err := os.Open(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if m, err = ReadModule(f); err != nil {
		t.Fatal(err)
	}
	code, err := os.ReadFile(paths[0])
	if err != nil {
		t.Fatal(err)
	}
	code = code[m.from:]
	for nr := range calls {
		with := append(native.AppendUint32([]byte{0xb8}, uint32(nr)), SyscallInstruction[:]...) // mov eax, nr; syscall
		for at := 0; ; at++ {
			n := bytes.Index(code[at:], with)
			if n < 0 {
				break
			}
			at += n
			sites = append(sites, m.from+uint64(at+len(with)-2))
		}
	}
	return m, sites
}

// TestGaps: each gap of libc is one of which a disassembler says that it does nothing,
// and that nothing jumps to it.
func TestGaps(t *testing.T) {
	m, sites := libc(t)
	if len(sites) < 6 {
		t.Fatalf("%d sites", len(sites))
	}
	objdump, err := exec.LookPath("objdump")
	if err != nil {
		t.Skip(err)
	}
	out, err := exec.Command(objdump, "-d", "--no-show-raw-insn", "/lib/x86_64-linux-gnu/libc.so.6").Output()
	if err != nil {
		t.Fatal(err)
	}
	instructions := regexp.MustCompile(`(?m)^ +([0-9a-f]+):\t(.*)$`).FindAllStringSubmatch(string(out), -1)
	does := make(map[uint64]string)
	target := make(map[uint64]bool)
	to := regexp.MustCompile(`^(?:j\w+|call|bnd jmp|notrack jmp) +([0-9a-f]+)`)
	for _, in := range instructions {
		at, _ := strconv.ParseUint(in[1], 16, 64)
		does[at] = in[2]
		if j := to.FindStringSubmatch(in[2]); j != nil {
			a, _ := strconv.ParseUint(j[1], 16, 64)
			target[a] = true
		}
	}
	if does[sites[0]] != "syscall" {
		t.Skip("the segment of code is not where its offset is")
	}
	found := 0
	for _, site := range sites {
		gap, ok := m.Gap(site)
		if !ok {
			t.Logf("%#x has no gap", site)
			continue
		}
		if again, _ := m.Gap(site); again != gap {
			t.Errorf("%#x has gaps %#x and %#x", site, gap, again)
		}
		found++
		for at := gap; at < gap+gapSize; at++ {
			if in, is := does[at]; is && !strings.Contains(in, "nop") && !strings.Contains(in, "xchg   %ax,%ax") && !strings.Contains(in, "int3") {
				t.Errorf("%#x, the gap of %#x: %s", at, site, in)
			}
			if target[at] {
				t.Errorf("%#x, the gap of %#x, is jumped to", at, site)
			}
		}
		if does[site] != "syscall" {
			t.Errorf("%#x: %s", site, does[site])
		}
	}
	if found < len(sites)-2 {
		t.Errorf("%d of %d sites have a gap", found, len(sites))
	}
	t.Logf("%d of %d sites have a gap", found, len(sites))
}

// TestLanding follows the jumps from a site to the entry and back. That processes run
// them is tested in package tracer.
func TestLanding(t *testing.T) {
	const base, n, site, gap = 0x7f0000100000, 3, 0x7f0000003006, 0x7f0000003050
	landing := LandingAt(base, n)
	code, ok := Landing(base, n, site)
	if !ok || len(code) != landingSize {
		t.Fatalf("% x, %v", code, ok)
	}
	atSite, inGap, ok := Detour(site, gap, landing)
	if !ok || atSite[0] != 0xeb || site+2+uint64(atSite[1]) != gap || inGap[0] != 0xe9 || far(inGap[1:], gap+gapSize) != landing {
		t.Errorf("% x, % x, %v", atSite, inGap, ok)
	}
	behind := uint64(19)
	switch {
	case far(code[3:], landing+7) != landing+behind:
		t.Errorf("rcx is not behind the syscall instruction: % x", code)
	case far(code[10:], landing+14) != base+entry:
		t.Errorf("r11 is not the entry: % x", code)
	case [2]byte(code[behind-2:]) != SyscallInstruction:
		t.Errorf("no syscall instruction: % x", code)
	case code[behind] != 0xe9 || far(code[behind+1:], landing+behind+gapSize) != site+2:
		t.Errorf("it does not go back: % x", code)
	}
	if _, ok := Landing(base, n, site+1<<33); ok {
		t.Error("a site that is too far away has a landing")
	}
	if _, _, ok := Detour(site, site+200, landing); ok {
		t.Error("a gap that is too far away has a detour")
	}
	if _, _, ok := Detour(site, gap, site+1<<33); ok {
		t.Error("a landing that is too far away has a detour")
	}
}

// far returns where four bytes lead that are relative to next.
func far(b []byte, next uint64) uint64 { return next + uint64(int64(int32(native.Uint32(b)))) }

// TestIdle has code that does something next to code that does not.
func TestIdle(t *testing.T) {
	for _, yes := range []string{"", "\x90", "\xcc\xcc", "\x66\x90", "\x0f\x1f\x40\x00", "\x66\x2e\x0f\x1f\x84\x00\x00\x00\x00\x00", "\x0f\x1f\x80\x00\x00\x00\x00\xcc"} {
		if !idle([]byte(yes)) {
			t.Errorf("% x does something", yes)
		}
	}
	for _, no := range []string{"\xc3", "\x90\xc3", "\x66", "\x0f\x1f", "\x0f\x1f\x84\x00\x00", "\x66\xcc", "\x0f\x05", "\x66\x0f\x1f\xc0", "\x2e\xe9\x00\x00\x00\x00"} {
		if idle([]byte(no)) {
			t.Errorf("% x does nothing", no)
		}
	}
}

// FuzzModule: any file at all is a module or an error.
func FuzzModule(f *testing.F) {
	for _, name := range []string{"/bin/true", "/bin/sh"} {
		if b, err := os.ReadFile(name); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := ReadModule(bytes.NewReader(b))
		if err != nil {
			return
		}
		for at := range min(m.size, 1<<16) {
			gap, ok := m.Gap(m.from + at)
			if !ok {
				continue
			}
			if is := m.Idle(gap); gap+gapSize > uint64(len(b)) || !bytes.Equal(is[:], b[gap:][:gapSize]) {
				t.Errorf("site %#x, gap %#x: % x", at, gap, is)
			}
		}
	})
}
