package manifest

import (
	"bytes"
	"errors"
	"hash/crc32"
	"io"
	"strconv"
)

// The last line of a document is a CRC-32C of all that comes before it, as Encode writes
// it. It detects damage: a flipped bit, a key that occurs twice. It is no signature.
const (
	checksumKey = ",\n\"crc32c\":\""
	checksumEnd = "\"\n}\n"

	checksumDigits = 8
	checksumSize   = len(checksumKey) + checksumDigits + len(checksumEnd)
)

// appendChecksum appends the end of a document of which sum is the CRC-32C.
func appendChecksum(b []byte, sum uint32) []byte {
	b = append(b, checksumKey...)
	hex := strconv.FormatUint(uint64(sum), 16)
	for range checksumDigits - len(hex) {
		b = append(b, '0')
	}
	return append(append(b, hex...), checksumEnd...)
}

// verifyChecksum reports whether a document is as it was written, byte for byte.
func verifyChecksum(data []byte) bool {
	at := bytes.LastIndex(data, []byte(checksumKey))
	return at >= 0 && bytes.Equal(data[at:], appendChecksum(nil, crc32.Checksum(data[:at], castagnoli())))
}

// verifyAnew returns an error unless m, when it is encoded again, has that checksum:
// another program may have parsed the document and written it in its own way.
func (m *Manifest) verifyAnew(checksum string) error {
	if checksum == "" {
		return errors.New("it has no checksum: it is not whole, or was written by an older fstrace")
	}
	sum := &summingWriter{w: io.Discard}
	if err := m.encodeBody(sum); err != nil {
		return err
	}
	if want := appendChecksum(nil, sum.sum); !bytes.Equal(want, []byte(checksumKey+checksum+checksumEnd)) {
		return errors.New("its checksum is wrong: it says something else than when it was written")
	}
	return nil
}
