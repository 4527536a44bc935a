package cache

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Stats count what a cache has done since its directory was made.
type Stats struct {
	Hits       int64 `json:"hits"`
	RemoteHits int64 `json:"remoteHits"` // of the hits
	Misses     int64 `json:"misses"`     // kept after the run
	// NotKept counts the runs whose results were not kept, by reason.
	NotKept map[RefusalReason]int64 `json:"notKept"`
	// Saved is how long the commands took whose results were found, when they ran.
	Saved time.Duration `json:"savedNs"`
	// Size is that of all files in bytes, and Results and Blobs is how many there are.
	Size    int64 `json:"size"`
	Results int64 `json:"results"`
	Blobs   int64 `json:"blobs"`
}

const statsName = "fstrace-stats.json"

// count counts an outcome. A counter that cannot be written is no reason to fail.
func (c *Cache) count(out *Outcome) {
	err := c.disk.changeStats(func(s *Stats) {
		var refused *Refusal
		switch {
		case out.Hit:
			s.Hits++
			s.Saved += out.Duration
			if out.Remote {
				s.RemoteHits++
			}
		case out.NotKept == nil:
			s.Misses++
		default:
			reason := RefusedStore
			if errors.As(out.NotKept, &refused) {
				reason = refused.Reason
			}
			if s.NotKept == nil {
				s.NotKept = make(map[RefusalReason]int64)
			}
			s.NotKept[reason]++
		}
	})
	if err != nil {
		c.warn(err)
	}
}

func (s *Disk) changeStats(change func(*Stats)) error {
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	counts, err := s.counts()
	if err != nil {
		return err
	}
	change(counts)
	b, err := json.Marshal(counts)
	if err != nil {
		return err
	}
	temp := filepath.Join(s.dir, statsName+".new")
	if err := os.WriteFile(temp, append(b, '\n'), 0o666); err != nil {
		return err
	}
	return os.Rename(temp, filepath.Join(s.dir, statsName))
}

func (s *Disk) counts() (*Stats, error) {
	counts := &Stats{}
	b, err := os.ReadFile(filepath.Join(s.dir, statsName))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return counts, nil
	case err != nil:
		return nil, err
	}
	if err := json.Unmarshal(b, counts); err != nil {
		return &Stats{}, nil //nolint:nilerr // a crash left it; begin again
	}
	return counts, nil
}

// Stats returns what the cache in the directory has done, and its size.
func (s *Disk) Stats() (*Stats, error) {
	counts, err := s.counts()
	if err != nil {
		return nil, err
	}
	files, err := s.files()
	if err != nil {
		return nil, err
	}
	counts.Size, counts.Results, counts.Blobs = 0, 0, 0
	for _, f := range files {
		counts.Size += f.size
		if f.kind == resultDir {
			counts.Results++
		} else {
			counts.Blobs++
		}
	}
	return counts, nil
}

// A stored is a file of a Disk.
type stored struct {
	kind, path string
	size       int64
	used       time.Time
}

// files returns all files of a Disk. Some may be gone already.
func (s *Disk) files() (list []stored, err error) {
	for _, kind := range []string{resultDir, blobDir} {
		err := filepath.WalkDir(filepath.Join(s.dir, kind), func(path string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return ignoreGone(err)
			}
			info, err := entry.Info()
			if err != nil {
				return ignoreGone(err)
			}
			list = append(list, stored{kind, path, info.Size(), info.ModTime()})
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("read the cache: %w", err)
		}
	}
	return list, nil
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
