package checkpoint

import "fmt"

// Compression is how the pages of a checkpoint are compressed, 128 KiB at a time,
// on all processors. What does not get smaller stays as it is. A block with
// anything compressed in it is brought in by a lazy restore before that returns,
// so compress where disks or networks are slow and restores are eager.
//
// S2 costs little and is for disks; Zstd is for networks and archives; ZstdBest
// is for what is written once. "go test -bench Compression ./checkpoint" shows
// what they cost and gain on a text.
type Compression uint8

// The kinds of compression, from the fastest to the smallest. The kinds of Zstd
// are the levels of github.com/klauspost/compress/zstd.
const (
	Uncompressed Compression = iota
	S2
	ZstdFastest
	Zstd
	ZstdBetter
	ZstdBest
)

var compressionNames = [...]string{"none", "s2", "zstd-fastest", "zstd", "zstd-better", "zstd-best"}

// String is the name that [ParseCompression] knows.
func (c Compression) String() string {
	if int(c) < len(compressionNames) {
		return compressionNames[c]
	}
	return fmt.Sprintf("compression %d", uint8(c))
}

// ParseCompression is the Compression of a name: none, s2, zstd-fastest, zstd,
// zstd-better or zstd-best.
func ParseCompression(name string) (Compression, error) {
	for c, n := range compressionNames {
		if n == name {
			return Compression(c), nil
		}
	}
	return 0, fmt.Errorf("compression %q: want one of %v", name, compressionNames)
}
