// Package events has the types of a record: what a traced command did, independent of how
// fstrace learned it.
//
// An [Event] is an access to a path, or the start, exec or exit of a process. An [Op]
// says what an access means to a cache, whichever system call made it. A [State] says
// what was at the path at that moment. A record is a [Header], events in the order in
// which the kernel ran the calls, and a [Trailer] that says whether the record is
// complete, and if not, why.
//
// A [Sink] receives a record. These sinks encode it:
//
//   - [JSONL]: an object per line, for programs (docs/jsonl.md);
//   - [Text]: a line per distinct access, for people (docs/text.md);
//   - [Depfile]: a Makefile rule of the files that were read (docs/depfile.md).
//
// [NewDecoder] reads a JSONL record back, and [Filter] selects accesses by path.
//
// Paths are byte strings: the kernel forbids only NUL in them. Encoders lose no byte;
// each format documents how it escapes the bytes that it cannot hold.
//
// The package does not depend on Linux and imports no other public package of
// fstrace.
package events
