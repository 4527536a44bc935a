package oracle

import (
	"debug/elf"
	"io"
	"os"
	"strings"
)

// interpreterOf returns what a program names as its interpreter: the word after "#!", or
// the PT_INTERP of an ELF file. It is empty for static programs. script tells which of
// the two program is.
func interpreterOf(program string) (path string, script bool, err error) {
	f, err := os.Open(program)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	head := make([]byte, 256)
	n, err := io.ReadFull(f, head)
	if err != nil && err != io.ErrUnexpectedEOF {
		return "", false, err
	}
	if rest, ok := strings.CutPrefix(string(head[:n]), "#!"); ok {
		line, _, _ := strings.Cut(rest, "\n")
		if words := strings.Fields(line); len(words) > 0 {
			return words[0], true, nil
		}
		return "", true, nil
	}
	file, err := elf.NewFile(f)
	if err != nil {
		return "", false, err
	}
	for _, p := range file.Progs {
		if p.Type == elf.PT_INTERP {
			b, err := io.ReadAll(p.Open())
			return strings.TrimRight(string(b), "\x00"), false, err
		}
	}
	return "", false, nil
}

// execAlso returns what the kernel opens by itself for a successful exec of
// path: the interpreter that a script names, and that of the ELF program it
// comes to. They are read from the files by debug/elf, not by fstrace's own reader.
func execAlso(cwd, path string) []Access {
	var also []Access
	for range 6 {
		given, script, err := interpreterOf(path)
		if err != nil || given == "" {
			break
		}
		path = kernelPath(cwd, given)
		also = append(also, Access{Op: "exec", Path: path})
		if !script {
			break
		}
	}
	return also
}
