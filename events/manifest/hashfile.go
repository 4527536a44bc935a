package manifest

import (
	"crypto/sha256"
	"io"

	"github.com/fstrace/fstrace/events"
	"golang.org/x/sys/unix"
)

const bufferSize = 128 << 10

// hashFile hashes a regular file that nobody changes meanwhile. If its change time has
// changed as it was read, that may be a chmod or a new name, or else a change of what it
// holds after which its other time was set back: it is read again.
func hashFile(fs fileSystem, path string, buf []byte) (sum [32]byte, info events.FileInfo, err error) {
	const tries = 8
	for range tries {
		var after events.FileInfo
		if sum, info, after, err = hashOnce(fs, path, buf); err != nil || after.Ctime == info.Ctime {
			return sum, info, err
		}
	}
	return sum, info, errChanged
}

func hashOnce(fs fileSystem, path string, buf []byte) (sum [32]byte, info, after events.FileInfo, err error) {
	f, err := fs.open(path)
	if err != nil {
		return sum, info, after, err
	}
	defer f.Close()
	if info, err = f.stat(); err != nil {
		return sum, info, after, err
	}
	if info.Mode&unix.S_IFMT != unix.S_IFREG {
		return sum, info, after, errChanged
	}
	hash := sha256.New()
	for {
		n, err := f.Read(buf)
		hash.Write(buf[:n])
		if err == io.EOF {
			break
		}
		if err != nil {
			return sum, info, after, err
		}
	}
	if after, err = f.stat(); err == nil && contentOf(&after) != contentOf(&info) {
		err = errChanged
	}
	return [32]byte(hash.Sum(nil)), info, after, err
}

// hashPrefix hashes the first size bytes of a file.
func hashPrefix(fs fileSystem, path string, size int64, buf []byte) (sum [32]byte, err error) {
	f, err := fs.open(path)
	if err != nil {
		return sum, err
	}
	defer f.Close()
	hash := sha256.New()
	n, err := io.CopyBuffer(hash, io.LimitReader(f, size), buf)
	if err == nil && n < size {
		err = errChanged
	}
	return [32]byte(hash.Sum(nil)), err
}
