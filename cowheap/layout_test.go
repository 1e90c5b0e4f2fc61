package cowheap

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/checkpoint"
)

type (
	version1 struct {
		ID   uint64
		Name String
		Log  Vec[entry1]
		By   Map[string, entry1]
		Next Ref[version1]
		_    [16]byte
		Last uint32
	}
	entry1 struct {
		At  int64
		_   [8]byte
		Arr [4]uint16
	}
)

func diffText(ds []Difference) (lines []string) {
	for _, d := range ds {
		lines = append(lines, fmt.Sprintf("%s was %s, is %s", d.Path, d.Was, d.Is))
	}
	return lines
}

func TestLayoutComparison(t *testing.T) {
	type renamedEntry struct {
		At  int64
		_   [8]byte
		Arr [4]uint16
	}
	type renamed struct {
		ID   uint64
		Name String
		Log  Vec[renamedEntry]
		By   Map[string, renamedEntry]
		Next Ref[renamed]
		_    [16]byte
		Last uint32
	}
	type grown struct {
		ID    uint64
		Name  String
		Log   Vec[entry1]
		By    Map[string, entry1]
		Next  Ref[grown]
		Extra String
		Last  uint32
	}
	type partlyGrown struct {
		ID   uint64
		Name String
		Log  Vec[entry1]
		By   Map[string, entry1]
		Next Ref[partlyGrown]
		Flag bool
		_    [15]byte
		Last uint32
	}
	type grownInside struct {
		ID   uint64
		Name String
		Log  Vec[struct {
			At  int64
			Ref Ref[grownInside]
			Arr [4]uint16
		}]
		By   Map[string, entry1]
		Next Ref[grownInside]
		_    [16]byte
		Last uint32
	}
	type shrunk struct {
		ID   uint64
		Name String
		Log  Vec[entry1]
		By   Map[string, entry1]
		Next Ref[shrunk]
		Last uint32
	}
	type otherKinds struct {
		ID   int64
		Name [16]byte
		Log  Vec[struct {
			At  int64
			_   [8]byte
			Arr [2]uint32
		}]
		By   Map[uint64, entry1]
		Next Ref[entry1]
		_    [16]byte
		Last float32
	}
	type otherNames struct {
		Key  uint64
		Name String
		Log  Vec[entry1]
		By   Map[string, entry1]
		Next Ref[otherNames]
		_    [16]byte
		Last uint32
		More uint16
	}
	type swapped struct {
		Name String
		ID   uint64
		Log  Vec[entry1]
		By   Map[string, entry1]
		Next Ref[swapped]
		_    [16]byte
		Last uint32
	}
	type overlapping struct {
		ID   uint64
		Name String
		Log  Vec[entry1]
		By   Map[string, entry1]
		Next Ref[overlapping]
		_    [12]byte
		X    [2]uint32
	}
	for _, c := range []struct {
		name    string
		was, is reflect.Type
		grown   bool
		want    []string
	}{
		{"same", reflect.TypeFor[version1](), reflect.TypeFor[version1](), false, nil},
		{"renamed types", reflect.TypeFor[version1](), reflect.TypeFor[renamed](), false, nil},
		{"blank bytes become a field", reflect.TypeFor[version1](), reflect.TypeFor[grown](), true, nil},
		{"some blank bytes become a field", reflect.TypeFor[version1](), reflect.TypeFor[partlyGrown](), true, nil},
		{"and the others", reflect.TypeFor[partlyGrown](), reflect.TypeFor[grown](), false, []string{
			"T.Flag was bool at offset 96, is absent",
			"T._ was [15]uint8 at offset 97, is absent",
			"T.Extra was absent, is String at offset 96"}},
		{"blank bytes in an element become a field", reflect.TypeFor[version1](), reflect.TypeFor[grownInside](), true, nil},
		{"a field becomes blank bytes", reflect.TypeFor[grown](), reflect.TypeFor[version1](), false, []string{
			"T.Extra was String at offset 96, is absent",
			"T._ was absent, is [16]uint8 at offset 96"}},
		{"blank bytes go", reflect.TypeFor[version1](), reflect.TypeFor[shrunk](), false, []string{
			"T.Last was uint32 at offset 112, is uint32 at offset 96"}},
		{"kinds", reflect.TypeFor[version1](), reflect.TypeFor[otherKinds](), false, []string{
			"T.ID was uint64, is int64",
			"T.Name was String, is [16]uint8",
			"T.Log[].Arr was [4]uint16, is [2]uint32",
			"T.By[key] was string, is uint64",
			"T.Next->ID was uint64 at offset 0, is absent",
			"T.Next->Name was String at offset 8, is absent",
			"T.Next->Log was Vec[struct cowheap.entry1 of 24 bytes] at offset 24, is absent",
			"T.Next->By was Map[string,struct cowheap.entry1 of 24 bytes] at offset 56, is absent",
			"T.Next->Next was Ref[struct cowheap.version1 of 120 bytes] at offset 88, is absent",
			"T.Next->_ was [16]uint8 at offset 96, is absent",
			"T.Next->Last was uint32 at offset 112, is absent",
			"T.Next->At was absent, is int64 at offset 0",
			"T.Next->_ was absent, is [8]uint8 at offset 8",
			"T.Next->Arr was absent, is [4]uint16 at offset 16",
			"T.Last was uint32, is float32"}},
		{"names", reflect.TypeFor[version1](), reflect.TypeFor[otherNames](), false, []string{
			"T.ID was uint64 at offset 0, is absent",
			"T.Key was absent, is uint64 at offset 0",
			"T.More was absent, is uint16 at offset 116"}},
		{"order", reflect.TypeFor[version1](), reflect.TypeFor[swapped](), false, []string{
			"T.ID was uint64 at offset 0, is uint64 at offset 16",
			"T.Name was String at offset 8, is String at offset 0"}},
		{"over the end of blank bytes", reflect.TypeFor[version1](), reflect.TypeFor[overlapping](), false, []string{
			"T.Last was uint32 at offset 112, is absent",
			"T.X was absent, is [2]uint32 at offset 108"}},
		{"blank bytes become padding", reflect.TypeFor[struct {
			A uint64
			B uint8
			_ [7]byte
		}](), reflect.TypeFor[struct {
			A uint64
			B uint8
		}](), false, []string{"T._ was [7]uint8 at offset 9, is absent"}},
		{"padding becomes blank bytes", reflect.TypeFor[struct {
			A uint64
			B uint8
		}](), reflect.TypeFor[struct {
			A uint64
			B uint8
			_ [7]byte
		}](), false, []string{"T._ was absent, is [7]uint8 at offset 9"}},
		{"padding only", reflect.TypeFor[struct {
			A uint8
			B uint8
		}](), reflect.TypeFor[struct {
			A uint8
			B uint8
			_ [0]uint64
		}](), false, []string{"T._ was absent, is [0]... at offset 8"}},
		{"size", reflect.TypeFor[struct {
			A uint8
			_ [7]byte
		}](), reflect.TypeFor[struct {
			A uint8
			B uint8
		}](), false, []string{"T was 8 bytes, is 2 bytes"}},
		{"scalar", reflect.TypeFor[int](), reflect.TypeFor[int64](), false, []string{"T was int, is int64"}},
		{"array", reflect.TypeFor[[3]int](), reflect.TypeFor[[4]int](), false, []string{"T was [3]int, is [4]int"}},
		{"element of a BTree", reflect.TypeFor[BTree[string, entry1]](), reflect.TypeFor[BTree[string, struct{ At int64 }]](), false, []string{
			"T[]._ was [8]uint8 at offset 8, is absent", "T[].Arr was [4]uint16 at offset 16, is absent"}},
		{"key of a BTree", reflect.TypeFor[BTree[string, int]](), reflect.TypeFor[BTree[float64, int]](), false, []string{"T[key] was string, is float64"}},
		{"key of a BTreeFunc", reflect.TypeFor[Vec[BTreeFunc[byScore, int]]](), reflect.TypeFor[Vec[BTreeFunc[byName, int]]](), false, []string{
			"T[][key].Score was int64 at offset 0, is absent", "T[][key].ID was uint64 at offset 8, is absent",
			"T[][key].Name was absent, is string at offset 0", "T[][key].Kind was absent, is uint64 at offset 16",
			"T[][key].City was absent, is string at offset 24"}},
		{"element of a Queue", reflect.TypeFor[struct{ Q Queue[int32] }](), reflect.TypeFor[struct{ Q Queue[uint32] }](), false, []string{"T.Q[] was int32, is uint32"}},
		{"kind of tree", reflect.TypeFor[BTree[uint64, int]](), reflect.TypeFor[Map[uint64, int]](), false, []string{"T was BTree[uint64,int], is Map[uint64,int]"}},
		{"tree and queue", reflect.TypeFor[struct{ A Queue[[3]int] }](), reflect.TypeFor[struct{ A BTreeFunc[byScore, int] }](), false, []string{
			"T.A was Queue[[3]int], is BTreeFunc[struct cowheap.byScore of 16 bytes,int]"}},
		{"container", reflect.TypeFor[Vec[int]](), reflect.TypeFor[Map[int, int]](), false, []string{"T was Vec[int], is Map[int,int]"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			ds, grown := compareLayouts(layoutOf(c.was), layoutOf(c.is), "T")
			if got := diffText(ds); !slices.Equal(got, c.want) {
				t.Errorf("differences:\n\t%s\nwant\n\t%s", strings.Join(got, "\n\t"), strings.Join(c.want, "\n\t"))
			}
			if grown != c.grown {
				t.Errorf("grown is %v, want %v", grown, c.grown)
			}
		})
	}
}

func TestLayoutOfWhatLeadsToItself(t *testing.T) {
	l := layoutOf(reflect.TypeFor[loop]())
	var kinds []string
	for _, typ := range l {
		kinds = append(kinds, typ.Kind)
	}
	want := []string{"struct", "Ref", "Vec", "Map", "int", "Vec", "Vec", "Map", "string"}
	if !slices.Equal(kinds, want) {
		t.Errorf("kinds are %v, want %v", kinds, want)
	}
	if l[0].Name != "cowheap.loop" || l[0].Fields[2].Name != "M" || l[3].Elem != 0 || l[3].Key != 4 {
		t.Errorf("layout is %+v", l)
	}
	if ds, grown := compareLayouts(l, l, "loop"); len(ds) > 0 || grown {
		t.Errorf("a layout differs from itself: %v", ds)
	}
}

func TestLayoutIsTheSameOnceEncodedAndDecoded(t *testing.T) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[goodRow](), reflect.TypeFor[loop](), reflect.TypeFor[version1](), reflect.TypeFor[int](),
		reflect.TypeFor[Map[mixed, [0]int]](), reflect.TypeFor[everything](), reflect.TypeFor[struct{}](),
	} {
		l := layoutOf(typ)
		b := encodeLayout(l)
		got, err := decodeLayout(b)
		if err != nil {
			t.Fatalf("%v: %v", typ, err)
		}
		for i := range l {
			if len(l[i].Fields) == 0 {
				l[i].Fields = nil
			}
		}
		if !reflect.DeepEqual(got, l) {
			t.Errorf("%v comes back as %+v, was %+v", typ, got, l)
		}
		for n := range b { // cut off anywhere
			if _, err := decodeLayout(b[:n]); !errors.Is(err, errLayoutRecord) {
				t.Errorf("%v cut off at %d of %d: %v", typ, n, len(b), err)
			}
		}
		if _, err := decodeLayout(append(b, 0)); err == nil {
			t.Errorf("%v with a byte on top is accepted", typ)
		}
	}
}

// Whatever a file says: comparing neither panics nor goes on for ever, and a
// layout that is accepted is safe to use.
func FuzzLayout(f *testing.F) {
	for _, typ := range []reflect.Type{
		reflect.TypeFor[goodRow](), reflect.TypeFor[loop](), reflect.TypeFor[version1](), reflect.TypeFor[int](),
	} {
		f.Add(encodeLayout(layoutOf(typ)))
	}
	is := []checkpoint.Layout{
		layoutOf(reflect.TypeFor[goodRow]()), layoutOf(reflect.TypeFor[loop]()), layoutOf(reflect.TypeFor[version1]()),
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		was, err := decodeLayout(b)
		if err != nil {
			return
		}
		if again, err := decodeLayout(encodeLayout(was)); err != nil || !reflect.DeepEqual(was, again) {
			t.Errorf("%+v comes back as %+v, %v", was, again, err)
		}
		for _, l := range is {
			ds, grown := compareLayouts(was, l, "T")
			if grown && len(ds) > 0 {
				t.Error("grown, and different")
			}
			for _, d := range ds {
				if len(d.Was)+len(d.Is) > 4*len(b)+2000 {
					t.Errorf("a difference of %d bytes", len(d.Was)+len(d.Is))
				}
			}
			if len(ds) == 0 && was[0].Size != l[0].Size {
				t.Errorf("a root of %d bytes is accepted for one of %d", was[0].Size, l[0].Size)
			}
		}
	})
}
