// The work is one thread's, beside the command: to look at control groups for how many
// processors to use would only make each start longer.
//
//go:debug containermaxprocs=0
//go:debug updatemaxprocs=0
package main
