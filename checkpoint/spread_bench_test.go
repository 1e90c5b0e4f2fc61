package checkpoint

import (
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cowheap/cowheap/internal/block"
)

// BenchmarkReadSpreadChain reads a state of text in one file, and in twenty with 1 %
// of the pages each, spread, as an eager restore does, with one worker.
func BenchmarkReadSpreadChain(b *testing.B) {
	size := int64(128 << 20)
	if testing.Short() {
		size = 16 << 20
	}
	pages := int(size / pageSize)
	for _, compression := range []Compression{Uncompressed, S2, Zstd} {
		for _, links := range []int{1, 20} {
			b.Run(fmt.Sprintf("%v, %d files", compression, links), func(b *testing.B) {
				c := &chain{dir: b.TempDir()}
				m := make(memory, size)
				rng := rand.New(rand.NewPCG(5, 6))
				for i := 0; i < len(m); {
					i += copy(m[i:], fmt.Appendf(nil, "{\"account\": %d, \"balance\": %d, \"currency\": \"EUR\"}\n", rng.IntN(1e6), rng.IntN(1e9)))
				}
				bytes := int64(0)
				for n := range links {
					opts := WriteOptions{ID: numberedID(n), Time: testTime, Compression: compression}
					if n > 0 {
						changed := rng.Perm(pages)[:pages/100]
						for _, p := range changed {
							m[p*pageSize+n]++
						}
						opts.Parent, opts.ParentSize, opts.Changed = numberedID(n-1), size, ranges(changed...)
					}
					file := encode(b, m, opts)
					if err := os.WriteFile(c.path(n), file, 0o600); err != nil {
						b.Fatal(err)
					}
					bytes += int64(len(file))
				}
				buf := make([]byte, 64*block.PageSize)
				b.SetBytes(size)
				for b.Loop() {
					im, err := OpenImage(c.path(links - 1))
					if err != nil {
						b.Fatal(err)
					}
					for region := range im.Regions() {
						if err := im.ReadRuns(region, buf, func(int, []byte) error { return nil }); err != nil {
							b.Fatal(err)
						}
					}
					im.Close()
				}
				b.ReportMetric(float64(bytes)/float64(size), "bytes/byte")
			})
		}
	}
}
