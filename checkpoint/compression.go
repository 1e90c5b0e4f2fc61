package checkpoint

import "fmt"

// Compression is how the pages of a checkpoint are compressed. What does not get
// smaller stays as it is, so a lazy restore can still fetch it by itself; what is
// compressed a lazy restore brings in before it returns.
type Compression uint8

// The kinds of compression, from the fastest to the smallest. S2 keeps up with
// most disks; the kinds of Zstd are those of the package
// github.com/klauspost/compress/zstd.
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
