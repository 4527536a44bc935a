// Package varlink has the messages of the varlink protocol (https://varlink.org) for a
// server whose clients are not trusted: JSON objects, each followed by a NUL byte, and
// descriptors, over a Unix stream socket.
//
// A [Reader] limits what a client can make the server hold. [DecodeCall] and
// [DecodeParameters] refuse what encoding/json ignores, and [Weigh] returns how much
// memory a message needs once it is decoded, for a [Gate].
//
// The package knows no method and no session.
package varlink
