package remote_test

import (
	"context"
	"fmt"
	"log"
	"net/http"
	"net/http/httptest"
	"time"

	"github.com/fstrace/fstrace/cache"
	"github.com/fstrace/fstrace/cache/remote"
)

// A store on a server of the HTTP protocol, which has nothing yet.
func ExampleOpen() {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	store, err := remote.Open(server.URL, remote.Options{Timeout: time.Minute})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	blobs := []cache.Digest{cache.DigestOf([]byte("content"))}
	missing, err := store.Missing(context.Background(), blobs)
	fmt.Println(len(missing), err)
	// Output: 1 <nil>
}
