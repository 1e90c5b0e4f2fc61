package cowheap

import (
	"fmt"
	"math"
	"math/bits"
	"strings"
	"testing"
)

// The vectors are the format: they may never change.
func TestHashVectors(t *testing.T) {
	s := newSecrets(42)
	for _, c := range []struct {
		got, want uint64
	}{
		{s.word(0x0), 0xbac1f2c56981126},
		{s.word(0x1), 0xcf7aab881f5cc946},
		{s.word(0xff), 0xc6f022c8110c717a},
		{s.word(0x123456789abcdef), 0x46e90ca5c3c1fe37},
		{s.word(0xffffffffffffffff), 0x9ec54c7e49343100},
		{s.bytes(s.s0, patternedKey(0)), 0xae2d7b81a7636361},
		{s.bytes(s.s0, patternedKey(1)), 0x58ae542a44ee8760},
		{s.bytes(s.s0, patternedKey(2)), 0x552a14ea58312d6},
		{s.bytes(s.s0, patternedKey(3)), 0x6d6d786b825a8ea1},
		{s.bytes(s.s0, patternedKey(4)), 0x90b7859e04c42981},
		{s.bytes(s.s0, patternedKey(7)), 0xc37baf9cbc205891},
		{s.bytes(s.s0, patternedKey(8)), 0x6bda60de34cb5028},
		{s.bytes(s.s0, patternedKey(9)), 0x3bea92e110ca4930},
		{s.bytes(s.s0, patternedKey(15)), 0x4e3598645c7765c1},
		{s.bytes(s.s0, patternedKey(16)), 0x916bdf0732c580ca},
		{s.bytes(s.s0, patternedKey(17)), 0xbfdd46b2e5c00c24},
		{s.bytes(s.s0, patternedKey(32)), 0x1d09e9498c301bfd},
		{s.bytes(s.s0, patternedKey(33)), 0x767ddafb7bc00e6f},
		{s.bytes(s.s0, patternedKey(48)), 0x5d1b430b777f07ed},
		{s.bytes(s.s0, patternedKey(49)), 0x77d40eec1daaca7d},
		{s.bytes(s.s0, patternedKey(64)), 0xf4c653e7b2caa599},
		{s.bytes(s.s0, patternedKey(96)), 0xa97807d23a9fdbe6},
		{s.bytes(s.s0, patternedKey(97)), 0xe144aceb119c112d},
		{s.bytes(s.s0, patternedKey(200)), 0xebcd56a06a806d2a},
		{s.bytes(7, "part"), 0x430b982f6881897d},
		{s.s0, 0x9d4eb47b404d2a9e},
		{s.s1, 0x48921ed26919a5a5},
	} {
		if c.got != c.want {
			t.Errorf("hash is %#016x, the format says %#016x", c.got, c.want)
		}
	}
}

func patternedKey(n int) string {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i*7 + 1)
	}
	return string(b)
}

// Flipping any one bit of the key must flip each bit of the hash about every
// second time.
func TestHashAvalanche(t *testing.T) {
	s := newSecrets(7)
	hashes := map[string]func(key []byte) uint64{
		"word": func(key []byte) uint64 {
			var x uint64
			for i, b := range key {
				x |= uint64(b) << (8 * i)
			}
			return s.word(x)
		},
		"bytes": func(key []byte) uint64 { return s.bytes(s.s0, string(key)) },
	}
	const rounds = 4000
	for name, hash := range hashes {
		for _, n := range []int{1, 3, 4, 8, 15, 16, 17, 33, 49, 100} {
			if name == "word" && n != 8 {
				continue
			}
			key := make([]byte, n)
			x := uint64(n)
			for bit := range 8 * n {
				if n > 16 && bit%7 != 0 {
					continue
				}
				var flips [64]int
				for range rounds {
					for i := range key {
						x = splitmix(x + 1)
						key[i] = byte(x)
					}
					before := hash(key)
					key[bit/8] ^= 1 << (bit % 8)
					diff := before ^ hash(key)
					for out := range 64 {
						flips[out] += int(diff >> out & 1)
					}
				}
				for out, n := range flips {
					// Six standard deviations.
					if dev := math.Abs(float64(n) - rounds/2); dev > 6*math.Sqrt(rounds)/2 {
						if len(key) == 1 {
							continue // 256 keys are too few to tell
						}
						t.Errorf("%s of %d bytes: input bit %d flips output bit %d in %d of %d cases", name, len(key), bit, out, n, rounds)
					}
				}
			}
		}
	}
}

// Keys as programs have them must spread over the bits that tables use: the top
// ones for the directory, the low ones for tag and group.
func TestHashSpreadsRealKeys(t *testing.T) {
	s := newSecrets(1)
	const n = 1 << 14
	sets := map[string]func(i int) uint64{
		"counter":      func(i int) uint64 { return s.word(uint64(i)) },
		"multiples":    func(i int) uint64 { return s.word(uint64(i) << 32) },
		"page offsets": func(i int) uint64 { return s.word(uint64(i) << 12) },
		"near s0":      func(i int) uint64 { return s.word(s.s0 ^ uint64(i)) },
		"decimal":      func(i int) uint64 { return s.bytes(s.s0, fmt.Sprint("user:", i)) },
		"long": func(i int) uint64 {
			return s.bytes(s.s0, strings.Repeat("x", 60)+fmt.Sprint(i))
		},
		"zeros": func(i int) uint64 { return s.bytes(s.s0, strings.Repeat("\x00", i%4096)+fmt.Sprint(i/4096)) },
	}
	for name, hash := range sets {
		hashes := make([]uint64, n)
		for i := range hashes {
			hashes[i] = hash(i)
		}
		for shift := 0; shift <= 54; shift += 6 {
			var count [1 << 10]int
			for _, h := range hashes {
				count[h>>shift&(1<<10-1)]++
			}
			chi := 0.0
			const want = float64(n) / (1 << 10)
			for _, c := range count {
				chi += (float64(c) - want) * (float64(c) - want) / want
			}
			// 1023 degrees of freedom: the deviation is 45.
			if chi > 1023+6*45 || chi < 1023-6*45 {
				t.Errorf("%s: bits %d to %d spread with chi square %.0f, want 1023 +- 270", name, shift, shift+9, chi)
			}
		}
	}
}

func TestHashReadsNothingOutsideTheKey(t *testing.T) {
	s := newSecrets(3)
	for n := range 200 {
		key := patternedKey(n)
		around := "??" + key + "!!"
		if s.bytes(s.s0, around[2:2+n]) != s.bytes(s.s0, key) {
			t.Errorf("the hash of %d bytes depends on their neighbours", n)
		}
		seen := map[uint64]int{s.bytes(s.s0, key): -1}
		for i := range n {
			b := []byte(key)
			b[i] ^= 0x10
			h := s.bytes(s.s0, string(b))
			if at, dup := seen[h]; dup {
				t.Errorf("%d bytes: changing byte %d hashes as changing byte %d", n, i, at)
			}
			seen[h] = i
		}
	}
}

func TestSecretsDependOnEveryBitOfTheSeed(t *testing.T) {
	base := newSecrets(0)
	for bit := range 64 {
		s := newSecrets(1 << bit)
		if d := bits.OnesCount64(s.s0 ^ base.s0); d < 12 || d > 52 {
			t.Errorf("bit %d of the seed changes %d bits of s0", bit, d)
		}
		if d := bits.OnesCount64(s.s1 ^ base.s1); d < 12 || d > 52 {
			t.Errorf("bit %d of the seed changes %d bits of s1", bit, d)
		}
		if s.s1&1 == 0 {
			t.Errorf("s1 is even for seed bit %d", bit)
		}
	}
}

func BenchmarkHash(b *testing.B) {
	s := newSecrets(1)
	var sink uint64
	b.Run("word", func(b *testing.B) {
		for b.Loop() {
			sink = s.word(sink)
		}
	})
	for _, n := range []int{3, 8, 16, 32, 100, 1000} {
		key := patternedKey(n)
		b.Run(fmt.Sprint("bytes/", n), func(b *testing.B) {
			for b.Loop() {
				sink = s.bytes(sink, key)
			}
		})
	}
}
