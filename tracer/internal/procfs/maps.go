package procfs

import (
	"bytes"
	"fmt"
	"strconv"
)

// A Mapping is a stretch of the memory of a process: proc_pid_maps(5).
type Mapping struct {
	From, To uint64
	Access   string // "r-xp", say
	Offset   uint64 // in the file
	Inode    uint64 // of the file; 0 for none
	Path     string // of the file; "[stack]" and the like for others
}

// Maps reads the mappings of a process, in the order of their addresses.
func Maps(pid int) ([]Mapping, error) {
	data, err := ReadFile(pid, "maps", make([]byte, 0, 1<<14))
	if err != nil {
		return nil, err
	}
	list := make([]Mapping, 0, bytes.Count(data, []byte("\n")))
	for line := range bytes.Lines(data) {
		m, ok := parseMapping(line)
		if !ok {
			return nil, fmt.Errorf("read /proc/%d/maps: %q", pid, line)
		}
		list = append(list, m)
	}
	return list, nil
}

// parseMapping reads a line: addresses, access, offset, device, inode, path.
func parseMapping(line []byte) (m Mapping, ok bool) {
	var fields [5][]byte
	rest := bytes.TrimSuffix(line, []byte("\n"))
	for i := range fields {
		fields[i], rest, _ = bytes.Cut(rest, []byte(" "))
	}
	from, to, ok := bytes.Cut(fields[0], []byte("-"))
	if !ok {
		return m, false
	}
	var errs [4]error
	m.From, errs[0] = strconv.ParseUint(string(from), 16, 64)
	m.To, errs[1] = strconv.ParseUint(string(to), 16, 64)
	m.Offset, errs[2] = strconv.ParseUint(string(fields[2]), 16, 64)
	m.Inode, errs[3] = strconv.ParseUint(string(fields[4]), 10, 64)
	m.Access, m.Path = string(fields[1]), string(bytes.TrimLeft(rest, " "))
	return m, errs == [4]error{} && m.From < m.To
}
