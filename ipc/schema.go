package ipc

import _ "embed"

// Names of the interfaces that the server has.
const (
	// Interface is fstrace's own. Its number rises when a client of before would not
	// work any more, not for what is added.
	Interface = "io.fstrace.v1"
	// ServiceInterface is varlink's own, by which others are found.
	ServiceInterface = "org.varlink.service"
)

// Schema is the description of [Interface], in varlink's language.
//
//go:embed io.fstrace.v1.varlink
var Schema string

// serviceSchema is the description of [ServiceInterface], as varlink.org has it.
//
//go:embed org.varlink.service.varlink
var serviceSchema string
