package manifest

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

// Surroundings are what a command started with, besides files. Check does not compare
// them. A cache makes them part of its key.
type Surroundings struct {
	UID, GID    uint32 // effective
	Umask       uint32 // umask(2)
	Environment []Variable
	Stdin       events.DescriptorKind // "" if it was closed
}

// A Variable is a variable of the environment.
type Variable struct {
	Name string
	// Digest is the first 32 digits of the SHA-256 of the value. A short value can be
	// guessed and confirmed with it.
	Digest string
	Value  string // only if [Options.EnvironmentValues] asked for it
}

// An ExternalKind is a kind of source outside the file system. The list is closed.
type ExternalKind string

// The kinds of external sources.
const (
	ExternalNetwork ExternalKind = "network" // a peer that the command called
	ExternalSocket  ExternalKind = "socket"  // a Unix socket that it connected to
	ExternalFIFO    ExternalKind = "fifo"    // a FIFO that it opened
	ExternalPipe    ExternalKind = "pipe"    // a pipe or socket that it was started with, to read from
	ExternalTTY     ExternalKind = "terminal"
	ExternalRandom  ExternalKind = "random" // /dev/random, /dev/urandom
	ExternalDevice  ExternalKind = "device" // any other device
	// ExternalAttributes: extended attributes or access control lists of a file, which it
	// asked for by name.
	ExternalAttributes ExternalKind = "attributes"
)

// ExternalKinds returns all kinds.
func ExternalKinds() []ExternalKind {
	return []ExternalKind{
		ExternalNetwork, ExternalSocket, ExternalFIFO, ExternalPipe, ExternalTTY, ExternalRandom, ExternalDevice,
		ExternalAttributes,
	}
}

// An External is a source outside the file system that the command may have used. A
// manifest does not compare it.
type External struct {
	Kind    ExternalKind
	Path    string // "" if it has none
	Address string // of a network peer, or of an abstract socket
	// Descriptor is the number of an inherited pipe, socket or terminal, or -1.
	Descriptor int
}

// String returns a description of the source for messages.
func (x *External) String() string {
	switch {
	case x.Address != "":
		return string(x.Kind) + " " + x.Address
	case x.Descriptor == 0:
		return "standard input, a " + string(x.Kind)
	case x.Kind == ExternalAttributes:
		return "extended attributes"
	case x.Path == "":
		return string(x.Kind) + " (inherited)"
	}
	return string(x.Kind) + " " + events.Quote(x.Path)
}

// surroundings makes what a manifest says of a process's start.
func surroundings(p *events.ProcessState, values bool) Surroundings {
	s := Surroundings{UID: p.UID, GID: p.GID, Umask: p.Umask}
	seen := make(map[string]bool, len(p.Env))
	for _, pair := range p.Env {
		name, value, _ := strings.Cut(pair, "=")
		if seen[name] { // getenv(3) finds the first
			continue
		}
		seen[name] = true
		sum := sha256.Sum256([]byte(value))
		v := Variable{Name: name, Digest: hex.EncodeToString(sum[:len(sum)/2])}
		if values {
			v.Value = value
		}
		s.Environment = append(s.Environment, v)
	}
	slices.SortFunc(s.Environment, func(a, b Variable) int { return cmp.Compare(a.Name, b.Name) })
	for _, d := range p.Descriptors {
		if d.FD == 0 {
			s.Stdin = d.Kind
		}
	}
	return s
}

// inheritedSources returns what a command may read from descriptors that are no files.
func inheritedSources(p *events.ProcessState) (list []External) {
	const stderr = 2
	for _, d := range p.Descriptors {
		x := External{Kind: ExternalPipe, Path: d.Path, Descriptor: d.FD}
		switch d.Kind {
		case events.DescriptorPipe:
			if d.Write { // a pipe's end for writing
				continue
			}
		case events.DescriptorSocket:
		case events.DescriptorTerminal: // open for reading and writing, mostly; programs read from the first
			if x.Kind = ExternalTTY; d.FD != 0 && d.FD <= stderr {
				continue
			}
		default:
			continue
		}
		list = append(list, x)
	}
	return list
}

// externals collects the external sources that a session comes to.
type externals map[External]struct{}

// note notes an access to what is no regular file, directory or symbolic link.
func (x *externals) note(e *events.Event, path string, info *events.FileInfo) {
	switch e.Op {
	case events.OpRead, events.OpWrite, events.OpStat:
	default:
		return
	}
	source := External{Path: path, Descriptor: -1}
	switch info.Mode & unix.S_IFMT {
	case unix.S_IFSOCK:
		if source.Kind = ExternalSocket; !connects[e.Syscall] {
			return
		}
	case unix.S_IFIFO:
		if source.Kind = ExternalFIFO; e.Op == events.OpStat {
			return
		}
	case unix.S_IFCHR, unix.S_IFBLK:
		source.Kind = deviceKind(path)
		if source.Kind == "" || e.Op == events.OpStat {
			return
		}
	default:
		return
	}
	x.add(source)
}

// connect notes that the session has called or sent to an address that is no path.
func (x *externals) connect(address string) {
	kind := ExternalNetwork
	if strings.HasPrefix(address, "unix ") { // an abstract socket
		kind = ExternalSocket
	}
	x.add(External{Kind: kind, Address: address, Descriptor: -1})
}

func (x *externals) add(source External) {
	if *x == nil {
		*x = make(externals)
	}
	(*x)[source] = struct{}{}
}

// sorted returns the sources in their canonical order.
func (x externals) sorted() []External {
	return slices.SortedFunc(maps.Keys(x), func(a, b External) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Address, b.Address), cmp.Compare(a.Descriptor, b.Descriptor))
	})
}

// connects are the calls by which a program talks to a Unix socket.
var connects = map[string]bool{"connect": true, "sendto": true, "sendmsg": true, "sendmmsg": true, "socketcall": true}

// deviceKind returns the kind of source that a device is; "" of those that say nothing.
func deviceKind(path string) ExternalKind {
	switch path {
	case "/dev/null", "/dev/zero", "/dev/full":
		return ""
	case "/dev/random", "/dev/urandom":
		return ExternalRandom
	}
	if isWithin(path, "/dev/pts") || strings.HasPrefix(path, "/dev/tty") || path == "/dev/console" || path == "/dev/ptmx" {
		return ExternalTTY
	}
	return ExternalDevice
}

// asksAttributes has the calls that read extended attributes, access control lists among
// them. A manifest does not compare those, and names no path: ls and cp ask of each file.
var asksAttributes = map[string]bool{
	"getxattr": true, "lgetxattr": true, "getxattrat": true, "listxattr": true, "llistxattr": true, "listxattrat": true,
}
