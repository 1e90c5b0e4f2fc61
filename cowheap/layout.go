package cowheap

import (
	"reflect"

	"github.com/cowheap/cowheap/checkpoint"
)

// Kinds of a recorded type. Others are named as reflect names them: "int64",
// "bool", "string" (only as the key of a Map or a tree) and so on.
const (
	kindStruct = "struct"
	kindArray  = "array"
	kindRef    = "Ref"
	kindVec    = "Vec"
	kindMap    = "Map"
	kindTree   = "BTree"
	kindOrder  = "BTreeFunc"
	kindQueue  = "Queue"
	kindText   = "String"
)

// layoutOf records t and all that it refers to.
//
// Preconditions: checkType accepts t.
func layoutOf(t reflect.Type) checkpoint.Layout {
	r := layoutRecorder{index: map[reflect.Type]int{}}
	r.add(t)
	return r.types
}

type layoutRecorder struct {
	types checkpoint.Layout
	index map[reflect.Type]int
}

// add returns the index of t, which it records if that was not done yet.
func (r *layoutRecorder) add(t reflect.Type) int {
	if i, ok := r.index[t]; ok {
		return i
	}
	i := len(r.types)
	r.index[t] = i
	r.types = append(r.types, checkpoint.Type{})
	// The rest may append to r.types.
	rec := checkpoint.Type{Name: t.String(), Kind: t.Kind().String(), Size: int64(t.Size()), Elem: -1, Key: -1}
	switch shape, elem, key := shapeOf(t); {
	case shape == shapeText:
		rec.Kind = kindText
	case shape == shapeRef:
		rec.Kind, rec.Elem = kindRef, r.add(elem)
	case shape == shapeVec:
		rec.Kind, rec.Elem = kindVec, r.add(elem)
	case shape == shapeMap:
		rec.Kind, rec.Key, rec.Elem = kindMap, r.add(key), r.add(elem)
	case shape == shapeTree:
		rec.Kind, rec.Key, rec.Elem = kindTree, r.add(key), r.add(elem)
	case shape == shapeTreeFunc:
		rec.Kind, rec.Key, rec.Elem = kindOrder, r.add(key), r.add(elem)
	case shape == shapeQueue:
		rec.Kind, rec.Elem = kindQueue, r.add(elem)
	case t.Kind() == reflect.Array:
		rec.Kind, rec.Len = kindArray, int64(t.Len())
		if t.Len() > 0 {
			rec.Elem = r.add(t.Elem())
		}
	case t.Kind() == reflect.Struct:
		rec.Kind = kindStruct
		rec.Fields = make([]checkpoint.Field, t.NumField())
		for i := range rec.Fields {
			f := t.Field(i)
			rec.Fields[i] = checkpoint.Field{Name: f.Name, Offset: int64(f.Offset), Type: r.add(f.Type)}
		}
	}
	r.types[i] = rec
	return i
}
