package cache

import (
	"cmp"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Collected says what Collect has removed, and what is left, in files and bytes.
type Collected struct {
	Removed      int64 `json:"removed"`
	RemovedBytes int64 `json:"removedBytes"`
	Left         int64 `json:"left"`
	LeftBytes    int64 `json:"leftBytes"`
}

// Collect removes the files that were not used for the longest time, until all files
// together have at most so many bytes. It also removes temporary files that a process
// which was killed has left. A result that has lost a blob is not found any more.
func (s *Disk) Collect(most int64) (*Collected, error) {
	if err := s.removeTemporary(time.Now().Add(-24 * time.Hour)); err != nil {
		return nil, err
	}
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	slices.SortFunc(files, func(a, b stored) int {
		return cmp.Or(a.used.Compare(b.used), cmp.Compare(a.path, b.path))
	})
	c := &Collected{Left: int64(len(files))}
	for _, f := range files {
		c.LeftBytes += f.size
	}
	for _, f := range files {
		if c.LeftBytes <= most {
			break
		}
		if err := ignoreGone(os.Remove(f.path)); err != nil {
			return c, err
		}
		c.Left--
		c.LeftBytes -= f.size
		c.Removed++
		c.RemovedBytes += f.size
	}
	return c, nil
}

// removeTemporary removes temporary files that nobody has written to since a time.
func (s *Disk) removeTemporary(since time.Time) error {
	dir := filepath.Join(s.dir, tempDir)
	list, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	for _, entry := range list {
		info, err := entry.Info()
		if err != nil || !info.ModTime().Before(since) {
			if err := ignoreGone(err); err != nil {
				return err
			}
			continue
		}
		if err := ignoreGone(os.Remove(filepath.Join(dir, entry.Name()))); err != nil {
			return err
		}
	}
	return nil
}
