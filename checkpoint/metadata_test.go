package checkpoint

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/vmihailenco/msgpack/v5"
	"pgregory.net/rapid"
)

func rootsGenerator() *rapid.Generator[[]Root] {
	text := rapid.String()
	num := rapid.Int64()
	index := rapid.Map(rapid.Int32(), func(n int32) int { return int(n) })
	field := rapid.Custom(func(t *rapid.T) Field {
		return Field{Name: text.Draw(t, "name"), Offset: num.Draw(t, "offset"), Type: index.Draw(t, "type")}
	})
	typ := rapid.Custom(func(t *rapid.T) Type {
		return Type{Name: text.Draw(t, "name"), Kind: text.Draw(t, "kind"), Size: num.Draw(t, "size"), Elem: index.Draw(t, "elem"),
			Key: index.Draw(t, "key"), Len: num.Draw(t, "len"), Fields: rapid.SliceOfN(field, 0, 20).Draw(t, "fields")}
	})
	return rapid.SliceOfN(rapid.Custom(func(t *rapid.T) Root {
		return Root{Name: text.Draw(t, "name"), Offset: rapid.Uint64().Draw(t, "offset"), Layout: rapid.SliceOfN(typ, 0, 20).Draw(t, "layout")}
	}), 0, 20)
}

func TestMetadataComesBackAsItWas(t *testing.T) {
	roots := rootsGenerator()
	rapid.Check(t, func(t *rapid.T) {
		want := roots.Draw(t, "roots")
		b, err := encodeMetadata(want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeMetadata(b)
		if err != nil {
			t.Fatal(err)
		}
		if !sameRoots(got, want) {
			t.Fatalf("got %+v", got)
		}
		again, _ := encodeMetadata(want)
		if !bytes.Equal(b, again) {
			t.Fatal("the same roots give other bytes")
		}
	})
}

func TestMetadataCutAnywhereIsAnError(t *testing.T) {
	b, err := encodeMetadata(testRoots)
	if err != nil {
		t.Fatal(err)
	}
	for n := range b {
		if _, err := decodeMetadata(b[:n]); err == nil || err == io.EOF {
			t.Fatalf("cut at %d of %d: %v", n, len(b), err)
		}
	}
	if _, err := decodeMetadata(append(b, 0xc0)); err == nil {
		t.Fatal("bytes after the end were accepted")
	}
}

// raw is msgpack of anything, maps with sorted keys.
func raw(t *testing.T, v any) []byte {
	t.Helper()
	var buf bytes.Buffer
	enc := msgpack.NewEncoder(&buf)
	if err := enc.Encode(v); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

// object builds a msgpack map in the given order of keys and values.
func object(keysAndValues ...[]byte) []byte {
	return append([]byte{0x80 | byte(len(keysAndValues)/2)}, bytes.Join(keysAndValues, nil)...)
}

func TestKeysOfLaterVersionsAreSkipped(t *testing.T) {
	key := func(s string) []byte { return raw(t, s) }
	root := object(
		key("before"), raw(t, map[string]any{"a": []int{1, 2, 3}, "b": nil}),
		key("name"), raw(t, "r"),
		key("between"), raw(t, []any{1.5, float32(2), true, "text", []byte{1, 2}, -7, uint64(1) << 63}),
		key("off"), raw(t, 8),
		key("extension"), []byte{0xd6, 5, 1, 2, 3, 4},
		key("layout"), []byte{0x90},
		key("after"), []byte{0xc7, 3, 9, 1, 2, 3},
	)
	got, err := decodeMetadata(object(key("new"), []byte{0xc0}, key("roots"), append([]byte{0x91}, root...)))
	if err != nil {
		t.Fatal(err)
	}
	if want := []Root{{Name: "r", Offset: 8}}; !sameRoots(got, want) {
		t.Fatalf("got %+v", got)
	}
}

func TestMetadataThatIsNotThatIsRefused(t *testing.T) {
	key := func(s string) []byte { return raw(t, s) }
	nested := func(depth int, head byte) []byte {
		b := bytes.Repeat([]byte{head}, depth)
		return object(key("x"), append(b, 0xc0), key("roots"), []byte{0x90})
	}
	for name, c := range map[string]struct {
		b    []byte
		says string
	}{
		"nothing":              {nil, "unexpected EOF"},
		"nil":                  {[]byte{0xc0}, "map of -1 keys"},
		"array":                {[]byte{0x90}, ""},
		"empty map":            {[]byte{0x80}, "map of 0 keys"},
		"no roots":             {object(key("root"), []byte{0x90}), `"roots" is missing`},
		"roots twice":          {object(key("roots"), []byte{0x90}, key("roots"), []byte{0x90}), "out of order"},
		"number as key":        {object(raw(t, 5), []byte{0x90}), ""},
		"roots are a number":   {object(key("roots"), raw(t, 5)), ""},
		"root is a number":     {object(key("roots"), []byte{0x91, 5}), ""},
		"root is an empty map": {object(key("roots"), []byte{0x91, 0x80}), "map of 0 keys"},
		"keys in disorder":     {object(key("roots"), append([]byte{0x91}, object(key("off"), raw(t, 1), key("name"), raw(t, "r"), key("layout"), []byte{0x90})...)), "out of order"},
		"array of 4 G":         {object(key("roots"), []byte{0xdd, 0xff, 0xff, 0xff, 0xff}), "array of"},
		"map of 4 G":           {[]byte{0xdf, 0xff, 0xff, 0xff, 0xff}, "map of"},
		"text of 4 G":          {object([]byte{0xdb, 0xff, 0xff, 0xff, 0xff}, nil), "text of"},
		"bytes of 4 G":         {object(key("x"), []byte{0xc6, 0xff, 0xff, 0xff, 0xff}), "text of"},
		"extension of 4 G":     {object(key("x"), []byte{0xc9, 0xff, 0xff, 0xff, 0xff, 1}), "extension of"},
		"skipped array of 4 G": {object(key("x"), []byte{0xdd, 0xff, 0xff, 0xff, 0xff}), "elements"},
		"skipped map of 4 G":   {object(key("x"), []byte{0xdf, 0xff, 0xff, 0xff, 0xff}), "elements"},
		"nested arrays":        {nested(maxSkipDepth+1, 0x91), "nested"},
		"deeply nested arrays": {nested(maxHeader/2, 0x91), "nested"},
		"deeply nested maps":   {nested(maxHeader/2, 0x81), ""},
		"unknown code":         {object(key("x"), []byte{0xc1}), ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeMetadata(c.b)
			if err == nil || !strings.Contains(err.Error(), c.says) || errors.Is(err, io.EOF) {
				t.Fatalf("got %v, want something about %q", err, c.says)
			}
		})
	}
	if _, err := decodeMetadata(nested(maxSkipDepth, 0x91)); err != nil {
		t.Errorf("nested as deep as allowed: %v", err)
	}
}

// TestMetadataDoesNotGrowInMemory decodes the densest metadata there is: what
// comes out must not be many times what went in.
func TestMetadataDoesNotGrowInMemory(t *testing.T) {
	fields := make([]Field, 200_000)
	types := make([]Type, 50_000)
	for i := range types {
		types[i] = Type{Elem: -1, Key: -1}
	}
	for name, roots := range map[string][]Root{
		"fields": {{Layout: Layout{{Fields: fields}}}},
		"types":  {{Layout: types}},
		"roots":  slices.Repeat([]Root{{}}, 100_000),
	} {
		b, err := encodeMetadata(roots)
		if err != nil {
			t.Fatal(err)
		}
		var got []Root
		if n := allocated(func() { got, err = decodeMetadata(b) }); n > 50*uint64(len(b)) {
			t.Errorf("%s: %d bytes from %d", name, n, len(b))
		}
		if err != nil || !sameRoots(got, roots) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
