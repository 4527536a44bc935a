// Package nested is what a fstrace and one inside of its session say to each other.
//
// The kernel allows one seccomp listener in a chain of filters, so a fstrace that runs
// below another one cannot listen itself. The outer one sees all calls anyway. It gives
// the inner one the events of the inner one's command, and asks the inner one's guard
// before a call that may change a file.
//
//	inner                                       outer
//	  seccomp(Magic, Version, Check)  ───▶       receives the notification,
//	                                  ◀───       adds a socket to the inner process: its
//	                                             descriptor is what the call returns
//	  join, with its command's number ───▶
//	                                  ◀───       a socket for the guard; joined, or refused
//	  (its command goes on to the exec)
//	                                  ◀───       event, event, …
//	  (its command has ended)
//	  finish                          ───▶
//	                                  ◀───       done: who is left, and what is missing
//
// Without an outer fstrace the kernel answers the first call with EINVAL.
//
// This package has the encodings and the queue of what will be sent. What is received is
// not trusted: each decoder bounds what it takes.
package nested
