// Package resolve finds out what paths lead to, as the kernel is about to:
// path_resolution(7). It walks a path component by component, as a cache must know each
// symbolic link on the way, and opens nothing (resolver.go). It remembers directories
// (dircache.go) and what it found a moment ago (recent_cache.go), until the session is
// about to change them.
//
// A caller's root directory and mounts may be others than fstrace's (view.go, spaces.go).
// Results have the host's paths. Where these do not exist, a [Result] says so.
//
// A look-up takes as long as its file system likes. So each is announced to a [Hand]
// before it is made, and mounts that the session serves itself are known (served.go).
//
// The package knows no system calls, and of processes only their view.
package resolve
