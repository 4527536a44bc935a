// Package manifest turns a record into the input of a cache decision, and
// takes the decision: which files a command depends on and in what state they
// were, what it left behind, and whether all of that still holds.
//
// Terms:
//
//   - an input is a path that the session touched before it changed it, in the
//     state that it had then;
//   - an output is what the session put, or changed, at a path, and that is there
//     at the end;
//   - the origin of a path is what stood there before the session. It may have
//     another name by now.
//
// A [Recorder] is an [events.Sink]: it folds the events, has the content of
// inputs hashed beside the command, and makes a [Manifest] at the end. Events tell
// of calls before they run and never of their results, so it predicts what they
// do, corrects itself where later events contradict, and at the end looks at what
// is really there. Its Guard method must be called before a call that may change
// a file is let through: what the file held is read then or never.
//
// It keeps about 150 bytes of a path, 200 if something is there and 600 if that is
// hashed, whatever the number of accesses. Inputs and accesses are never all put
// together: they are encoded one after the other.
//
// Which operation learns what of the state before is one table (facts.go,
// docs/semantics.md); the manifest is the fold of that table over the record.
//
// [Manifest.Encode] and [Decode] are the document (docs/manifest.md), [Check]
// compares one with the file system, [Manifest.Why] explains an entry of it.
//
// The package knows nothing of tracing.
package manifest
