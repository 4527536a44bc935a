// Package events is fstrace's vocabulary: what a traced command did, said
// without reference to how it was learnt.
//
// An [Event] is one access to a path, or one step in the life of a process. An
// [Op] names what an access means to a cache, not which system call made it; a
// [State] names what stood at the path at that moment. A record is a [Header],
// events in the order in which the kernel let them happen, and a [Trailer] that
// says whether anything may be missing, and why.
//
// Encodings:
//
//   - [JSONL], an object per line, for programs (docs/jsonl.md);
//   - [Text], a line per distinct access, for people (docs/text.md);
//   - [Depfile], a Makefile rule of what was read, for make and ninja.
//
// Paths are byte strings: the kernel forbids only NUL in them. Encoders never
// lose a byte; where an encoding cannot hold one it says how it escapes it.
//
// This package knows nothing of the kernel, and imports nothing of fstrace.
package events
