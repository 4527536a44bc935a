package observe

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net/netip"
	"strconv"

	"github.com/fstrace/fstrace/events"
	"github.com/fstrace/fstrace/tracer/internal/procfs"
	"github.com/fstrace/fstrace/tracer/internal/resolve"
	"github.com/fstrace/fstrace/tracer/internal/syscalls"
	"golang.org/x/sys/unix"
)

// Sockets are accesses where they have a path, unix(7). Other addresses are noted as
// what a command may have heard from outside its files.

// sockaddr reads the address of bind, connect or sendto.
func (o *Observer) sockaddr(c *Call, v *resolve.View, a *Access, addr, length uint64) error {
	n, err := o.peer(c, v, a.op, addr, length)
	if err != nil {
		return err
	}
	a.op, a.First, a.address = n.op, n.file, n.address
	return nil
}

// peer reads an address that is used by op. It returns errNoFile for one that says
// nothing of what is outside.
func (o *Observer) peer(c *Call, v *resolve.View, op events.Op, addr, length uint64) (named, error) {
	const family, sunPath = 2, 2
	length = min(length&0xffffffff, unix.SizeofSockaddrUnix)
	if addr == 0 || length < family {
		return named{}, procfs.ErrNoFile
	}
	b, err := c.Source.Bytes(c.TID, addr, int(length))
	if err != nil {
		return named{}, err
	}
	create := op == events.OpCreate
	if binary.NativeEndian.Uint16(b) == unix.AF_UNIX && len(b) > sunPath && b[sunPath] != 0 {
		name, _, _ := bytes.Cut(b[sunPath:], []byte{0})
		mode := resolve.Follow
		if create {
			mode = resolve.Entry
		}
		file, err := o.resolve(c, v, syscalls.FromCwd, name, mode)
		return named{op: op, file: file}, err
	}
	address := addressText(b, !c.Row.Has(syscalls.Connects))
	if create || address == "" {
		return named{}, procfs.ErrNoFile
	}
	return named{op: events.OpConnect, address: address}, nil
}

// addressText returns a struct sockaddr without a path as events.Event.Address has it,
// "" if it is of nobody: one that is too short, the kernel itself (netlink(7), the
// crypto API), or connect's AF_UNSPEC, which ends a connection. To send to AF_UNSPEC is
// to send to AF_INET: udp(7).
func addressText(b []byte, send bool) string {
	const inetSize, inet6Size, vmSize = unix.SizeofSockaddrInet4, 24, unix.SizeofSockaddrVM
	switch family := binary.NativeEndian.Uint16(b); family {
	case unix.AF_UNSPEC, unix.AF_INET:
		if len(b) < inetSize || family == unix.AF_UNSPEC && !send {
			return ""
		}
		ip := netip.AddrFrom4([4]byte(b[4:]))
		return "inet " + netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[2:])).String()
	case unix.AF_INET6:
		if len(b) < inet6Size {
			return ""
		}
		ip := netip.AddrFrom16([16]byte(b[8:]))
		if len(b) >= unix.SizeofSockaddrInet6 {
			if scope := binary.NativeEndian.Uint32(b[24:]); scope != 0 {
				ip = ip.WithZone(strconv.FormatUint(uint64(scope), 10))
			}
		}
		return "inet6 " + netip.AddrPortFrom(ip, binary.BigEndian.Uint16(b[2:])).String()
	case unix.AF_VSOCK:
		if len(b) < vmSize {
			return ""
		}
		return "vsock " + strconv.FormatUint(uint64(binary.NativeEndian.Uint32(b[8:])), 10) + ":" + strconv.FormatUint(uint64(binary.NativeEndian.Uint32(b[4:])), 10)
	case unix.AF_UNIX:
		if len(b) == 2 {
			return "" // bind: the kernel chooses a name
		}
		return "unix @" + string(b[3:])
	case unix.AF_NETLINK, unix.AF_ALG, unix.AF_KEY:
		return ""
	default:
		return "family " + strconv.Itoa(int(family))
	}
}

// A messageLayout is where struct mmsghdr, which begins with a struct msghdr, keeps the
// address of a message.
type messageLayout struct {
	length int // where msg_namelen is; msg_name is at the beginning
	size   int
}

var (
	messages32 = messageLayout{length: 4, size: 32}
	messages64 = messageLayout{length: 8, size: 64}
)

// maxMessages is how many messages sendmmsg takes: UIO_MAXIOV.
const maxMessages = 1024

// messages reads the addresses in the messages of sendmsg and sendmmsg. Most have none.
func (o *Observer) messages(c *Call, v *resolve.View, a *Access, addr, count uint64) error {
	if c.Row.Has(syscalls.OneMessage) || c.Row.How == syscalls.BySocketcall && uint32(c.Args[0]) == syscalls.SocketcallSendmsg {
		count = 1
	}
	layout := messages64
	if syscalls.Narrow(c.ABI) || c.ABI.Name == "x32" {
		layout = messages32
	}
	var all []named
	var before [2]uint64
	for i := range min(count&0xffffffff, maxMessages) {
		b, err := c.Source.Bytes(c.TID, addr+i*uint64(layout.size), layout.length+4)
		if err != nil {
			if i > 0 && errors.Is(err, procfs.ErrBadAddress) {
				break // the others are sent
			}
			return err
		}
		at := [2]uint64{uint64(binary.NativeEndian.Uint32(b)), uint64(binary.NativeEndian.Uint32(b[layout.length:]))}
		if layout == messages64 {
			at[0] = binary.NativeEndian.Uint64(b)
		}
		if at[0] == 0 || at == before {
			continue
		}
		before = at
		n, err := o.peer(c, v, events.OpStat, at[0], at[1])
		switch {
		case err == nil:
			all = append(all, n)
		case !errors.Is(err, procfs.ErrNoFile) && (i == 0 || !errors.Is(err, procfs.ErrBadAddress)):
			return err
		}
	}
	if len(all) == 0 {
		return procfs.ErrNoFile
	}
	a.op, a.First, a.address = all[0].op, all[0].file, all[0].address
	a.more = all[1:]
	return nil
}

// socketcall reads i386's multiplexer.
func (o *Observer) socketcall(c *Call, v *resolve.View, a *Access) error {
	const word = 4
	which := uint32(c.Args[0])
	size := 3 * word
	if which == syscalls.SocketcallSendto {
		size = 6 * word
	}
	b, err := c.Source.Bytes(c.TID, c.Args[1], size)
	if err != nil {
		return err
	}
	arg := func(n int) uint64 { return uint64(binary.NativeEndian.Uint32(b[n*word:])) }
	a.op = events.OpStat
	switch which {
	case syscalls.SocketcallBind:
		a.op = events.OpCreate
	case syscalls.SocketcallSendto:
		return o.sockaddr(c, v, a, arg(4), arg(5))
	case syscalls.SocketcallSendmsg, syscalls.SocketcallSendmmsg:
		return o.messages(c, v, a, arg(1), arg(2))
	}
	return o.sockaddr(c, v, a, arg(1), arg(2))
}
