package cowheap

import (
	"fmt"
	"math/rand/v2"
	"testing"
)

func BenchmarkUpdateEmpty(b *testing.B) {
	h, err := New(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	fn := func(m *Mem) error { return nil }
	for b.Loop() {
		h.Update(fn)
	}
}

func BenchmarkRootKnown(b *testing.B) {
	benchmarkInUpdate(b, func(m *Mem) {
		for b.Loop() {
			if _, err := Root[uint64](m, "counter"); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func benchmarkInUpdate(b *testing.B, fn func(m *Mem)) {
	b.Helper()
	h, err := New(nil)
	if err != nil {
		b.Fatal(err)
	}
	defer h.Close()
	if err := h.Update(func(m *Mem) error { fn(m); return nil }); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkMap sets Map beside a Go map with the same keys, in random order.
func BenchmarkMap(b *testing.B) {
	for _, n := range []int{1 << 10, 1 << 20} {
		if testing.Short() && n > 1<<10 {
			continue // it takes long to fill
		}
		numbers, texts := make([]uint64, n), make([]string, n)
		for i := range n {
			numbers[i] = rand.Uint64()
			texts[i] = fmt.Sprint("key:", rand.Uint32())
		}
		b.Run(fmt.Sprint("uint64/", n), func(b *testing.B) { benchmarkMap(b, numbers) })
		b.Run(fmt.Sprint("string/", n), func(b *testing.B) { benchmarkMap(b, texts) })
	}
}

func benchmarkMap[K comparable](b *testing.B, keys []K) {
	var sum uint64
	n := len(keys)
	mix := make([]K, n) // in another order
	for i, j := range rand.Perm(n) {
		mix[i] = keys[j]
	}
	b.Run("get/heap", func(b *testing.B) {
		benchmarkInUpdate(b, func(m *Mem) {
			t := filled(b, m, keys)
			for i := 0; b.Loop(); i++ {
				v, _ := t.Get(m, mix[i%n])
				sum += v
			}
		})
	})
	b.Run("get/go", func(b *testing.B) {
		t := make(map[K]uint64)
		for _, k := range keys {
			t[k] = 1
		}
		for i := 0; b.Loop(); i++ {
			sum += t[mix[i%n]]
		}
	})
	b.Run("set/heap", func(b *testing.B) {
		benchmarkInUpdate(b, func(m *Mem) {
			t := filled(b, m, keys)
			for i := 0; b.Loop(); i++ {
				if err := t.Set(m, mix[i%n], uint64(i)); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("set/go", func(b *testing.B) {
		t := make(map[K]uint64)
		for _, k := range keys {
			t[k] = 1
		}
		for i := 0; b.Loop(); i++ {
			t[mix[i%n]] = uint64(i)
		}
	})
	b.Run("fill/heap", func(b *testing.B) { // ns an entry
		benchmarkInUpdate(b, func(m *Mem) {
			var t *Map[K, uint64]
			for i := 0; b.Loop(); i++ {
				if i%n == 0 {
					b.StopTimer()
					t = alloc[Map[K, uint64]](b, m)
					b.StartTimer()
				}
				if err := t.Set(m, keys[i%n], 1); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	b.Run("fill/go", func(b *testing.B) {
		var t map[K]uint64
		for i := 0; b.Loop(); i++ {
			if i%n == 0 {
				t = make(map[K]uint64)
			}
			t[keys[i%n]] = 1
		}
	})
	b.Run("all/heap", func(b *testing.B) { // ns an entry
		benchmarkInUpdate(b, func(m *Mem) {
			t := filled(b, m, keys)
			for b.Loop() {
				for _, v := range t.All(m) {
					sum += *v
				}
			}
		})
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
	})
	b.Run("all/go", func(b *testing.B) {
		t := make(map[K]uint64)
		for _, k := range keys {
			t[k] = 1
		}
		for b.Loop() {
			for _, v := range t {
				sum += v
			}
		}
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*n), "ns/entry")
	})
	if sum == 1 {
		b.Log(sum)
	}
}

func filled[K comparable](b *testing.B, m *Mem, keys []K) *Map[K, uint64] {
	t := alloc[Map[K, uint64]](b, m)
	for _, k := range keys {
		if err := t.Set(m, k, 1); err != nil {
			b.Fatal(err)
		}
	}
	return t
}
