package events_test

import (
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"github.com/fstrace/fstrace/events"
)

// A record in the jsonl format, read back line by line.
func ExampleDecoder() {
	var document strings.Builder
	sink := events.NewJSONL(&document)
	sink.Begin(&events.Header{Argv: []string{"cat", "a"}, Cwd: "/src"})
	sink.Event(&events.Event{Op: events.OpRead, Path: "/src/a", State: events.StateFile, PID: 7, TID: 7})
	sink.End(&events.Trailer{})

	d := events.NewDecoder(strings.NewReader(document.String()))
	for {
		e, err := d.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(e.Op, e.Path)
	}
	// Output: read /src/a
}

// A dependency file for make.
func ExampleNewDepfile() {
	sink := events.NewDepfile(os.Stdout, []string{"a.o"})
	sink.Begin(&events.Header{Argv: []string{"cc", "-c", "a.c"}, Cwd: "/src"})
	sink.Event(&events.Event{Op: events.OpRead, Path: "/src/a.c", State: events.StateFile})
	sink.Event(&events.Event{Op: events.OpRead, Path: "/src/a.h", State: events.StateFile})
	sink.End(&events.Trailer{})
	// Output:
	// a.o: \
	//   /src/a.c \
	//   /src/a.h
}

// A line for each distinct access below a directory.
func ExampleFilter() {
	sink, err := events.Filter(events.NewText(os.Stdout), []string{"/src"}, []string{"*.o"})
	if err != nil {
		log.Fatal(err)
	}
	sink.Begin(&events.Header{Argv: []string{"cc", "-c", "a.c"}, Cwd: "/src"})
	for _, path := range []string{"/lib/libc.so.6", "/src/a.c", "/src/a.h", "/src/a.c", "/src/a.o"} {
		sink.Event(&events.Event{Op: events.OpRead, Path: path, State: events.StateFile})
	}
	sink.End(&events.Trailer{})
	// Output:
	// read      /src/a.c
	// read      /src/a.h
}
