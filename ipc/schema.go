package ipc

import _ "embed"

// Names of the interfaces of the server.
const (
	// Interface is fstrace's own interface. Its number changes when existing clients
	// would no longer work, not when something is added.
	Interface = "io.fstrace.v1"
	// ServiceInterface is varlink's own interface, which describes the others.
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
