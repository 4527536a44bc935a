// Package syscalls says which system calls are notified and how each is read. The table
// (table.go) has one row for each call; the filter, the decoder (package observe) and
// docs/syscalls.md are made from it. docs/adding-a-syscall.md says how to add a row.
//
// The package knows numbers, arguments and flags. It reads no process and looks at no
// file.
package syscalls
