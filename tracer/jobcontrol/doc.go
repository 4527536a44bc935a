// Package jobcontrol lets a program that runs one command stop and end as the command
// does, so that the shell that started the program handles the job correctly. fstrace
// uses it. A program that only records commands does not need it.
//
// Call [HoldStops] in an init function: it blocks signals by the mask of the main thread,
// which later threads inherit.
package jobcontrol
