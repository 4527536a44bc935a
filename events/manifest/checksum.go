package manifest

import (
	"bytes"
	"errors"
	"hash/crc32"
	"strconv"
)

// The last line of a document is a CRC-32C of all that comes before it. It tells damage:
// a flipped bit, a key that is there twice, an editor's new line. It is no signature.
const (
	checksumKey = ",\n\"crc32c\":\""
	checksumEnd = "\"\n}\n"
)

// appendChecksum appends the end of a document of which sum is the CRC-32C.
func appendChecksum(b []byte, sum uint32) []byte {
	const digits = 8
	b = append(b, checksumKey...)
	hex := strconv.FormatUint(uint64(sum), 16)
	for range digits - len(hex) {
		b = append(b, '0')
	}
	return append(append(b, hex...), checksumEnd...)
}

// verifyChecksum returns an error if a document is not as it was written.
func verifyChecksum(data []byte) error {
	at := bytes.LastIndex(data, []byte(checksumKey))
	if at < 0 {
		return errors.New("it has no checksum: it is not whole, or was written by an older fstrace")
	}
	if want := appendChecksum(nil, crc32.Checksum(data[:at], castagnoli())); !bytes.Equal(data[at:], want) {
		return errors.New("its checksum is wrong: it was changed, or written anew by another program")
	}
	return nil
}
