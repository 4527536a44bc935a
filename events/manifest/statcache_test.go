package manifest

import (
	"crypto/sha256"
	"encoding/binary"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/fstrace/fstrace/events"
)

func openTestCache(t testing.TB, dir string) *Cache {
	t.Helper()
	c, err := OpenCache(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func infoNumber(i int) *identity {
	return &identity{mount: 1, FileInfo: events.FileInfo{Ino: uint64(i), Size: int64(i), Mtime: int64(i) * 1000, Ctime: int64(i) * 1000, Mode: 1}}
}

func sumNumber(i int) [32]byte {
	return sha256.Sum256(binary.LittleEndian.AppendUint64(nil, uint64(i)))
}

func TestCache(t *testing.T) {
	dir := t.TempDir()
	c := openTestCache(t, dir)
	if _, ok := c.get(infoNumber(1)); ok {
		t.Error("an empty cache knows a file")
	}
	c.put(infoNumber(1), sumNumber(1))
	for name, change := range map[string]func(*identity){
		"mount": func(i *identity) { i.mount++ },
		"ino":   func(i *identity) { i.Ino++ },
		"size":  func(i *identity) { i.Size++ },
		"mtime": func(i *identity) { i.Mtime++ },
		"ctime": func(i *identity) { i.Ctime++ },
	} {
		info := *infoNumber(1)
		change(&info)
		if _, ok := c.get(&info); ok {
			t.Errorf("another %s is taken for the same file", name)
		}
	}
	again := openTestCache(t, dir)
	if sum, ok := again.get(infoNumber(1)); !ok || sum != sumNumber(1) {
		t.Error("forgotten when it was opened again")
	}
	info := *infoNumber(1)
	info.Mtime++
	again.put(&info, sumNumber(2))
	if _, ok := c.get(infoNumber(1)); ok {
		t.Error("an inode has two states")
	}
	if sum, ok := c.get(&info); !ok || sum != sumNumber(2) {
		t.Error("what another has put is not seen")
	}
	var none *Cache
	none.put(infoNumber(1), sumNumber(1))
	if _, ok := none.get(infoNumber(1)); ok {
		t.Error("no cache knows a file")
	}
}

// TestCacheBounded puts more than there is room for: the size has its limit, and
// what is found is right.
func TestCacheBounded(t *testing.T) {
	c := openTestCache(t, t.TempDir())
	const many = 50_000
	for i := range many {
		c.put(infoNumber(i), sumNumber(i))
	}
	found := 0
	for i := range many {
		if sum, ok := c.get(infoNumber(i)); ok {
			found++
			if sum != sumNumber(i) {
				t.Fatalf("%d has another's hash", i)
			}
		}
	}
	if found < many*9/10 {
		t.Errorf("found %d of %d, which is less than what there is room for", found, many)
	}
	st, err := c.file.Stat()
	if err != nil || st.Size() > cacheFileMax {
		t.Errorf("size %d, limit %d (%v)", st.Size(), int64(cacheFileMax), err)
	}
	for i := range 3 * slotsPerSet { // one set, overfull
		c.put(&identity{mount: 1, FileInfo: events.FileInfo{Ino: 1, Size: int64(i), Mode: 1}}, sumNumber(i))
		if sum, ok := c.get(&identity{mount: 1, FileInfo: events.FileInfo{Ino: 1, Size: int64(i), Mode: 1}}); !ok || sum != sumNumber(i) {
			t.Errorf("what was put last, %d, is not there", i)
		}
	}
}

// TestCacheDamaged flips each byte of a slot, and cuts the file off within it, as
// a crash may: it is forgotten, never wrong.
func TestCacheDamaged(t *testing.T) {
	dir := t.TempDir()
	c := openTestCache(t, dir)
	info := infoNumber(7)
	c.put(info, sumNumber(7))
	p := placeOf(info)
	at := p.at + int64(p.first*slotSize)
	var slot [slotSize]byte
	if _, err := c.file.ReadAt(slot[:], at); err != nil {
		t.Fatal(err)
	}
	for i := range crcOffset + 4 {
		bad := slot
		bad[i] ^= 0x40
		if _, err := c.file.WriteAt(bad[:], at); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.get(info); ok {
			t.Errorf("byte %d damaged: still found", i)
		}
	}
	for cut := range int64(crcOffset + 4) {
		if err := os.Truncate(filepath.Join(dir, cacheName), at+cut); err != nil {
			t.Fatal(err)
		}
		if _, ok := c.get(info); ok {
			t.Errorf("cut off after %d bytes: still found", cut)
		}
	}
	c.put(info, sumNumber(8))
	if sum, ok := c.get(info); !ok || sum != sumNumber(8) {
		t.Error("a damaged cache takes nothing any more")
	}
}

// TestCacheCutOff cuts off the file of a cache that has mapped it, which a read of a page
// that is no longer there would not survive.
func TestCacheCutOff(t *testing.T) {
	dir := t.TempDir()
	info := infoNumber(7)
	openTestCache(t, dir).put(info, sumNumber(7))
	c := openTestCache(t, dir)
	if sum, ok := c.get(info); c.mapped == nil || !ok || sum != sumNumber(7) {
		t.Fatal("not found in the mapped file")
	}
	if err := os.Truncate(filepath.Join(dir, cacheName), 0); err != nil {
		t.Fatal(err)
	}
	if _, ok := c.get(info); ok {
		t.Error("found in a file that is empty")
	}
	c.put(info, sumNumber(8))
	if sum, ok := c.get(info); !ok || sum != sumNumber(8) {
		t.Error("takes nothing any more")
	}
}

// TestCacheConcurrent has several use the same slots at once: what one finds is
// what somebody put for that very file.
func TestCacheConcurrent(t *testing.T) {
	dir := t.TempDir()
	var all sync.WaitGroup
	for range 4 {
		c := openTestCache(t, dir)
		all.Go(func() {
			for round := range 200 {
				for i := range 8 { // same inode, so same set
					info := &identity{mount: 1, FileInfo: events.FileInfo{Ino: 1, Size: int64(i), Mtime: int64(round), Mode: 1}}
					c.put(info, sumNumber(i))
					if sum, ok := c.get(info); ok && sum != sumNumber(i) {
						t.Errorf("%d has another's hash", i)
					}
				}
			}
		})
	}
	all.Wait()
}

func TestCacheNotOurs(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, cacheName)
	if err := os.WriteFile(name, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(name, 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCache(dir); err == nil {
		t.Error("a cache that others may write to was opened")
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/dev/null", name); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenCache(dir); err == nil {
		t.Error("a symbolic link was followed")
	}
}
