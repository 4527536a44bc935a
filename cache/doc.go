// Package cache skips commands that would do the same again. It keeps what a command
// wrote, removed and printed, and puts that back when everything that the command depends
// on is as it was.
//
// # How a result is found
//
// A lookup has two steps, as in BuildXL. The first key has the command: arguments,
// working directory, environment, user, and what else a [Task] has. It leads to the path
// sets of earlier runs ([manifest.PathSet]). The second key has a path set and what is at
// its paths now. It leads to the result. So a result is found again after any number of
// changes that were undone, and each path is looked at once.
//
// A result is right if another run would do the same. The package relies on the manifest
// for this: a record that is incomplete, a command that used the network, or an input
// that changed during the run is never kept ([Refusal]).
//
// # Storage
//
// Results are ActionResult messages of the Remote Execution API and are stored by the
// digests of Action messages, so that servers validate and count them. Locally they are
// in the layout of Bazel's --disk_cache ([Disk]); a [Store] may be a server. A store may
// lose anything at any time, and may return wrong data: digests are checked, and the
// command runs again.
//
// The package does not trace: a [Runner] runs the command and returns its manifest.
package cache
