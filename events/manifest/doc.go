// Package manifest makes manifests of records, and compares them with the file system:
// which files did a command depend on and in which state, what did it leave behind, and
// does all of that still hold?
//
// # Terms
//
//   - An input is a path that the session accessed before it changed it, in the state
//     that the path had then.
//   - An output is a path that the session created or changed, and that exists at the
//     end.
//   - The origin of a path is what was at the path before the session. It may have
//     another name now.
//
// # Use
//
// [Record] runs a command and returns its manifest. [Check] and [CheckContext] compare a
// manifest with the file system, [CheckDocument] decodes and compares at once, which
// takes less time, and [Checker] compares several. [Manifest.Encode] and [Decode] write
// and read the document (docs/manifest.md), [Manifest.Why] explains an entry, and [Diff]
// compares two manifests.
//
// A [Recorder] is the [events.Sink] behind Record. Events describe calls before they run
// and never their results, so a Recorder predicts what the calls do, corrects the
// prediction when later events contradict it, and looks at the paths at the end. It
// hashes inputs concurrently with the command. The session must call [Recorder.Guard]
// before it continues a call that may change a file, because the old content is lost
// after the call.
//
// A table says what each operation learns about the state before it (facts.go,
// docs/semantics.md). A manifest is the result of applying this table to all events of a
// record.
//
// # Memory
//
// A Recorder keeps about 150 bytes for each path, 200 if the path exists and 600 if it is
// hashed, whatever the number of accesses. It encodes inputs and accesses one by one and
// never has all of them in memory at the same time.
//
// The package does not depend on package tracer.
package manifest
