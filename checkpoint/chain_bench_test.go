package checkpoint

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/cowheap/cowheap/internal/block"
)

// benchChain writes a full checkpoint of 256 MiB and links-1 on it, each with 1 %
// of the pages in rows of 16 at random places, and returns the newest one's path.
func benchChain(b *testing.B, links int) (path string, size int64) {
	b.Helper()
	size = 256 << 20
	if testing.Short() {
		size = 16 << 20
	}
	c := &chain{dir: b.TempDir()}
	m := random(size, 1)
	rng := rand.New(rand.NewPCG(1, 2))
	pages := int(size / pageSize)
	for n := range links {
		opts := WriteOptions{ID: numberedID(n), Time: testTime}
		if n > 0 {
			var changed []int
			for range max(pages/1600, 1) {
				for at, i := rng.IntN(pages-16), 0; i < 16; i++ {
					changed = append(changed, at+i)
					m[(at+i)*pageSize+n]++
				}
			}
			opts.Parent, opts.ParentSize, opts.Changed = numberedID(n-1), size, ranges(changed...)
		}
		if err := os.WriteFile(c.path(n), encode(b, m, opts), 0o600); err != nil {
			b.Fatal(err)
		}
	}
	return c.path(links - 1), size
}

// BenchmarkOpenChain opens a checkpoint that is in one file, and in fifty.
func BenchmarkOpenChain(b *testing.B) {
	for _, links := range []int{1, 50} {
		b.Run(fmt.Sprintf("%d files", links), func(b *testing.B) {
			path, _ := benchChain(b, links)
			for b.Loop() {
				im, err := OpenImage(path)
				if err != nil {
					b.Fatal(err)
				}
				im.Close()
			}
		})
	}
}

// BenchmarkReadChain opens and reads everything, as an eager restore does, with
// one worker.
func BenchmarkReadChain(b *testing.B) {
	for _, links := range []int{1, 50} {
		b.Run(fmt.Sprintf("%d files", links), func(b *testing.B) {
			path, size := benchChain(b, links)
			buf := make([]byte, 64*block.PageSize)
			b.SetBytes(size)
			for b.Loop() {
				im, err := OpenImage(path)
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
		})
	}
}

// BenchmarkCompression writes and reads 64 MiB of text, with all processors, and
// says what is left of it.
func BenchmarkCompression(b *testing.B) {
	size := int64(64 << 20)
	if testing.Short() {
		size = 4 << 20
	}
	m := make(memory, size)
	rng := rand.New(rand.NewPCG(5, 6))
	for i := 0; i < len(m); {
		i += copy(m[i:], fmt.Appendf(nil, "{\"account\": %d, \"balance\": %d, \"currency\": \"EUR\"}\n", rng.IntN(1e6), rng.IntN(1e9)))
	}
	for c := Uncompressed; c <= ZstdBest; c++ {
		var out bytes.Buffer
		b.Run("write "+c.String(), func(b *testing.B) {
			b.SetBytes(size)
			for b.Loop() {
				out.Reset()
				if _, err := Write(b.Context(), &out, m, WriteOptions{Compression: c}); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(100*float64(out.Len())/float64(size), "%")
		})
		b.Run("read "+c.String(), func(b *testing.B) {
			b.SetBytes(size)
			im, err := NewImage(bytes.NewReader(out.Bytes()), int64(out.Len()), nil)
			if err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				if err := im.Verify(b.Context(), nil); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
