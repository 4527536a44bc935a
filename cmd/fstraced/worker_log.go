package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// logLine is how much of a line of a worker's log is passed on.
const logLine = 4096

// relayLog passes on what a worker says on its standard error, line by line, until its
// end. What another user's process says is not trusted: nothing but printable characters
// gets to root's terminal.
func relayLog(to io.Writer, from io.ReadCloser, uid, pid int) {
	defer from.Close()
	r := bufio.NewReaderSize(from, logLine)
	for {
		line, err := r.ReadSlice('\n')
		if len(line) > 0 {
			text := strings.TrimSuffix(string(line), "\n")
			if quoted := strconv.Quote(text); strings.IndexFunc(text, func(c rune) bool { return !strconv.IsPrint(c) }) >= 0 {
				text = quoted
			}
			fmt.Fprintf(to, "%s worker=%d uid=%d\n", text, pid, uid)
		}
		for errors.Is(err, bufio.ErrBufferFull) { // the rest of a long line
			_, err = r.ReadSlice('\n')
		}
		if err != nil {
			return
		}
	}
}
