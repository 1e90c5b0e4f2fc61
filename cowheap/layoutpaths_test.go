package cowheap

import (
	"errors"
	"strings"
	"testing"
)

// A change is named by its path, in whichever container it is, as key or as value, and
// two deep.
func TestLayoutErrorNamesThePathThroughContainers(t *testing.T) {
	type was struct{ N uint32 }
	type is struct{ N int32 }
	differs := func(t *testing.T, create, open func(m *Mem) error, path string) {
		t.Helper()
		inUpdate(t, 1<<20, func(m *Mem, _ *testBacking) {
			must[any](t)(nil, create(m))
			changed, ok := errors.AsType[*LayoutError](open(m))
			if !ok {
				t.Fatalf("no *LayoutError, want one at %q", path)
			}
			// It begins with the type's name, which ends in a bracket.
			if d := changed.Differences; len(d) != 1 || !strings.HasSuffix(d[0].Path, "]."+path) || d[0].Was != "uint32" || d[0].Is != "int32" {
				t.Errorf("got %v, want a change at %q", d, path)
			}
		})
	}
	type row[E any] struct{ F E }
	for name, c := range map[string]struct {
		create, open func(m *Mem) error
		path         string
	}{
		"Vec":               {rooted[row[Vec[was]]], rooted[row[Vec[is]]], "F[].N"},
		"Queue":             {rooted[row[Queue[was]]], rooted[row[Queue[is]]], "F[].N"},
		"Map":               {rooted[row[Map[uint64, was]]], rooted[row[Map[uint64, is]]], "F[].N"},
		"Map key":           {rooted[row[Map[was, bool]]], rooted[row[Map[is, bool]]], "F[key].N"},
		"Map plain key":     {rooted[row[Map[uint32, bool]]], rooted[row[Map[int32, bool]]], "F[key]"},
		"BTree":             {rooted[row[BTree[string, was]]], rooted[row[BTree[string, is]]], "F[].N"},
		"BTree key":         {rooted[row[BTree[uint32, bool]]], rooted[row[BTree[int32, bool]]], "F[key]"},
		"BTreeFunc":         {rooted[row[BTreeFunc[checkedKey, was]]], rooted[row[BTreeFunc[checkedKey, is]]], "F[].N"},
		"BTreeFunc key":     {rooted[row[BTreeFunc[keyWas, bool]]], rooted[row[BTreeFunc[keyIs, bool]]], "F[key].N"},
		"Ref":               {rooted[row[Ref[was]]], rooted[row[Ref[is]]], "F->N"},
		"array":             {rooted[row[[3]was]], rooted[row[[3]is]], "F[].N"},
		"Vec in Vec":        {rooted[row[Vec[Vec[was]]]], rooted[row[Vec[Vec[is]]]], "F[][].N"},
		"Vec in Map":        {rooted[row[Map[string, Vec[was]]]], rooted[row[Map[string, Vec[is]]]], "F[][].N"},
		"Map in Map":        {rooted[row[Map[string, Map[uint8, was]]]], rooted[row[Map[string, Map[uint8, is]]]], "F[][].N"},
		"key of Map in Map": {rooted[row[Map[string, Map[was, bool]]]], rooted[row[Map[string, Map[is, bool]]]], "F[][key].N"},
		"Map in BTree":      {rooted[row[BTree[int64, Map[uint8, was]]]], rooted[row[BTree[int64, Map[uint8, is]]]], "F[][].N"},
		"BTree in Queue":    {rooted[row[Queue[BTree[int64, was]]]], rooted[row[Queue[BTree[int64, is]]]], "F[][].N"},
		"Queue in BTreeFunc": {rooted[row[BTreeFunc[checkedKey, Queue[was]]]],
			rooted[row[BTreeFunc[checkedKey, Queue[is]]]], "F[][].N"},
		"Ref in Vec in Map": {rooted[row[Map[string, Vec[Ref[was]]]]], rooted[row[Map[string, Vec[Ref[is]]]]], "F[][]->N"},
		"struct in Vec":     {rooted[row[Vec[row[was]]]], rooted[row[Vec[row[is]]]], "F[].F.N"},
	} {
		t.Run(name, func(t *testing.T) {
			differs(t, c.create, c.open, c.path)
		})
	}
}

type keyWas struct{ N uint32 }

func (k keyWas) Compare(l keyWas) int { return int(int64(k.N) - int64(l.N)) }

type keyIs struct{ N int32 }

func (k keyIs) Compare(l keyIs) int { return int(k.N) - int(l.N) }

// rooted opens the root "r" as a T.
func rooted[T any](m *Mem) error {
	_, err := Root[T](m, "r")
	return err
}
