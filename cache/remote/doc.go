// Package remote has the stores of results on servers: of the Remote Execution API
// (bazel-remote, Buildbarn, BuildBuddy, NativeLink) by gRPC, and of the HTTP protocol for
// caches, as Bazel uses it.
//
// A server is never needed. Each call has a deadline, is repeated a few times if the
// server says that this may help, and then returns an error; package cache does not ask
// again and runs the command.
package remote
