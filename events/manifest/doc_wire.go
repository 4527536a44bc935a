package manifest

import (
	"encoding/json"
	"fmt"

	"github.com/fstrace/fstrace/events"
)

// The wire types are the document as encoding/json writes and reads it. A string
// that need not be UTF-8 has two fields, of which one is used.

// A wireList is a list of such strings. An element that is not UTF-8 is an object:
// {"base64":…}. A list is long, and one odd name should not hide the others.
type wireList []string

type wireBytes struct {
	Base64 *[]byte `json:"base64"`
}

func (l wireList) MarshalJSON() ([]byte, error) {
	b := []byte{'['}
	for i, s := range l {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendElement(b, s)
	}
	return append(b, ']'), nil
}

func (l *wireList) UnmarshalJSON(b []byte) error {
	var raw []json.RawMessage
	if err := json.Unmarshal(b, &raw); err != nil {
		return err
	}
	*l = nil
	for _, r := range raw {
		var s string
		if r[0] == '{' {
			var w wireBytes
			if err := json.Unmarshal(r, &w); err != nil {
				return err
			}
			if w.Base64 == nil {
				return fmt.Errorf("string %s: neither text nor base64", r)
			}
			s = string(*w.Base64)
		} else if err := json.Unmarshal(r, &s); err != nil {
			return err
		}
		*l = append(*l, s)
	}
	return nil
}

type wireCommand struct {
	Argv        wireList        `json:"argv"`
	Cwd         string          `json:"cwd,omitempty"`
	CwdBase64   []byte          `json:"cwdBase64,omitempty"`
	Exit        *events.Exit    `json:"exit"`
	UID         *uint32         `json:"uid,omitempty"`
	GID         *uint32         `json:"gid,omitempty"`
	Umask       string          `json:"umask,omitempty"`
	Stdin       string          `json:"stdin,omitempty"`
	Environment *[]wireVariable `json:"environment,omitempty"`
}

type wireVariable struct {
	Name        string  `json:"name,omitempty"`
	NameBase64  []byte  `json:"nameBase64,omitempty"`
	Digest      string  `json:"digest"`
	Value       *string `json:"value,omitempty"`
	ValueBase64 []byte  `json:"valueBase64,omitempty"`
}

type wireExternal struct {
	Kind          string `json:"kind"`
	Path          string `json:"path,omitempty"`
	PathBase64    []byte `json:"pathBase64,omitempty"`
	Address       string `json:"address,omitempty"`
	AddressBase64 []byte `json:"addressBase64,omitempty"`
	Descriptor    *int   `json:"descriptor,omitempty"`
}

type wireIncomplete struct {
	Reason       string `json:"reason"`
	PID          int    `json:"pid,omitempty"`
	Detail       string `json:"detail,omitempty"`
	DetailBase64 []byte `json:"detailBase64,omitempty"`
}

type wireEntry struct {
	Path         string    `json:"path,omitempty"`
	PathBase64   []byte    `json:"pathBase64,omitempty"`
	State        string    `json:"state"`
	SHA256       string    `json:"sha256,omitempty"`
	Size         *int64    `json:"size,omitempty"`
	Mtime        string    `json:"mtime,omitempty"`
	Mode         string    `json:"mode,omitempty"`
	Owner        string    `json:"owner,omitempty"` // uid:gid
	Links        *int64    `json:"links,omitempty"`
	Target       string    `json:"target,omitempty"`
	TargetBase64 []byte    `json:"targetBase64,omitempty"`
	Error        string    `json:"error,omitempty"`
	Entries      string    `json:"entries,omitempty"`
	Names        wireList  `json:"names,omitempty"`
	Empty        *bool     `json:"empty,omitempty"`
	Shared       bool      `json:"shared,omitempty"`
	Before       string    `json:"before,omitempty"`
	Ops          []string  `json:"ops"`
	Told         *wireTold `json:"told,omitempty"`
}

type wireTold struct {
	Mtime string `json:"mtime,omitempty"`
	Links *int64 `json:"links,omitempty"`
	Owner string `json:"owner,omitempty"`
}

type wireRenaming struct {
	From       string `json:"from,omitempty"`
	FromBase64 []byte `json:"fromBase64,omitempty"`
	To         string `json:"to,omitempty"`
	ToBase64   []byte `json:"toBase64,omitempty"`
}

type wireForgotten struct {
	Dir       string   `json:"dir,omitempty"`
	DirBase64 []byte   `json:"dirBase64,omitempty"`
	Count     int64    `json:"count"`
	Filter    []byte   `json:"filter,omitempty"`
	Any       bool     `json:"any,omitempty"`
	Except    wireList `json:"except,omitempty"`
}

type wireProcess struct {
	PID       int          `json:"pid"`
	PPID      int          `json:"ppid,omitempty"`
	From      *int         `json:"from,omitempty"`
	Exe       string       `json:"exe,omitempty"`
	ExeBase64 []byte       `json:"exeBase64,omitempty"`
	Argv      wireList     `json:"argv"`
	Cwd       string       `json:"cwd,omitempty"`
	CwdBase64 []byte       `json:"cwdBase64,omitempty"`
	Exit      *events.Exit `json:"exit,omitempty"`
}

type wireAccess struct {
	Path       string     `json:"path,omitempty"`
	PathBase64 []byte     `json:"pathBase64,omitempty"`
	Op         string     `json:"op"`
	State      string     `json:"state"`
	Process    *int       `json:"process,omitempty"`
	Syscall    string     `json:"syscall,omitempty"`
	As         string     `json:"as,omitempty"`
	AsBase64   []byte     `json:"asBase64,omitempty"`
	Links      []wireLink `json:"links,omitempty"`
}

type wireLink struct {
	Path         string `json:"path,omitempty"`
	PathBase64   []byte `json:"pathBase64,omitempty"`
	Target       string `json:"target,omitempty"`
	TargetBase64 []byte `json:"targetBase64,omitempty"`
}
