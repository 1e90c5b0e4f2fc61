package cowheap

import (
	"fmt"
	"reflect"

	"github.com/cowheap/cowheap/checkpoint"
)

// rootWalk is how a root is walked: its layout, which may be damaged, made sure of.
type rootWalk struct {
	name   string
	layout checkpoint.Layout
	types  []walkType
	opened []reflect.Type // by type, if the program has opened the root; else nil
}

// walkType is a recorded type as a walk needs it.
type walkType struct {
	*checkpoint.Type
	state walkState
	wrong string // why values cannot be walked; "" if they can
	walks bool   // a value holds Refs or containers
	// align is the alignment, as far as it is sure: that of an array of length 0 is not
	// recorded.
	align uint64
	sure  bool

	keys *mapType  // of a Map
	tree *treeType // of a BTree or a BTreeFunc
}

type walkState uint8

const (
	walkNew walkState = iota
	walkBegun
	walkDone
)

// maxNesting is how deep structs and arrays nest that are walked.
const maxNesting = 1000

// kindSizes are the sizes and alignments of kinds without parts, on every
// processor that heaps are for.
var kindSizes = map[string][2]uint64{
	"bool": {1, 1}, "int8": {1, 1}, "uint8": {1, 1}, "int16": {2, 2}, "uint16": {2, 2},
	"int32": {4, 4}, "uint32": {4, 4}, "float32": {4, 4}, "int": {8, 8}, "uint": {8, 8},
	"int64": {8, 8}, "uint64": {8, 8}, "float64": {8, 8}, "complex64": {8, 4}, "complex128": {16, 8},
	"string": {16, 8}, // as the key of a Map or a tree
	kindRef:  {8, 8},
	kindText: {uint64(reflect.TypeFor[String]().Size()), 8},
	kindVec:  {uint64(reflect.TypeFor[vecHeader]().Size()), 8},
	kindMap:  {uint64(reflect.TypeFor[mapHeader]().Size()), 8},
	kindTree: {uint64(reflect.TypeFor[treeHeader]().Size()), 8}, kindOrder: {uint64(reflect.TypeFor[treeHeader]().Size()), 8},
	kindQueue: {uint64(reflect.TypeFor[queueHeader]().Size()), 8},
}

// use makes l the layout that is walked.
func (w *rootWalk) use(l checkpoint.Layout, opened []reflect.Type) {
	w.layout, w.opened = l, opened
	w.types = make([]walkType, len(l))
	for i := range l {
		w.types[i].Type = &l[i]
	}
}

// title is what the root's type is called in paths.
func (w *rootWalk) title() string {
	if w.opened != nil {
		return typeName(w.opened[0])
	}
	if name := w.layout[0].Name; name != "" {
		return lastName(name)
	}
	return w.layout[0].Kind
}

// lastName is a type's name without the package.
func lastName(name string) string {
	for i := 0; i < len(name); i++ {
		switch name[i] {
		case '[', ' ', '{', '*':
			return name
		case '.':
			return name[i+1:]
		}
	}
	return name
}

// typ makes sure of type i and returns it.
func (w *rootWalk) typ(i int) *walkType { return w.nested(i, 0) }

func (w *rootWalk) nested(i, depth int) *walkType {
	if i < 0 || i >= len(w.types) {
		return &walkType{Type: &checkpoint.Type{}, wrong: "a type that is not in the record"}
	}
	t := &w.types[i]
	switch {
	case t.state == walkDone:
	case t.state == walkBegun:
		return &walkType{Type: t.Type, wrong: "a type that holds itself"}
	case depth > maxNesting:
		return &walkType{Type: t.Type, wrong: "a type that nests too deep"}
	default:
		t.state = walkBegun
		t.wrong = w.describe(t, depth)
		if w.opened != nil && w.opened[i] != nil {
			t.align, t.sure = uint64(w.opened[i].Align()), true
		}
		t.state = walkDone
	}
	return t
}

// describe works out what is to be known of a type, and returns what is wrong with
// its record.
func (w *rootWalk) describe(t *walkType, depth int) (wrong string) {
	t.align, t.sure = 1, true
	if known, ok := kindSizes[t.Kind]; ok {
		if t.align = known[1]; uint64(t.Size) != known[0] {
			return fmt.Sprintf("a %s of %d bytes", t.Kind, t.Size)
		}
		switch t.Kind {
		case kindRef, kindVec, kindQueue, kindMap, kindTree, kindOrder, kindText:
			t.walks = true
		}
		return ""
	}
	switch t.Kind {
	case kindArray:
		if t.Len == 0 {
			if t.sure = false; t.Size != 0 {
				return fmt.Sprintf("an empty array of %d bytes", t.Size)
			}
			return ""
		}
		e := w.nested(t.Elem, depth+1)
		if e.wrong != "" {
			return e.wrong
		}
		if t.Len < 0 || e.Size > 0 && t.Len > t.Size/e.Size || t.Len*e.Size != t.Size {
			return fmt.Sprintf("an array of %d values of %d bytes in %d", t.Len, e.Size, t.Size)
		}
		t.align, t.sure, t.walks = e.align, e.sure, e.walks
	case kindStruct:
		end := int64(0)
		for _, f := range t.Fields {
			ft := w.nested(f.Type, depth+1)
			if ft.wrong != "" {
				return ft.wrong
			}
			if f.Offset < end || f.Offset > t.Size || ft.Size > t.Size-f.Offset {
				return fmt.Sprintf("field %s of %d bytes at offset %d of a struct of %d", f.Name, ft.Size, f.Offset, t.Size)
			}
			end = f.Offset + ft.Size
			t.align, t.sure, t.walks = max(t.align, ft.align), t.sure && ft.sure, t.walks || ft.walks
		}
	default:
		return fmt.Sprintf("a type of kind %q", t.Kind)
	}
	return ""
}

// mapType is how entries of a Map are laid out; nil if that is not to be known.
func (w *rootWalk) mapType(t *walkType) (mt *mapType, wrong string) {
	if t.keys == nil {
		key, val, wrong := w.entry(t)
		if wrong != "" || key == nil {
			return nil, wrong
		}
		t.keys = &mapType{keyType: w.keyType(t.Key), val: &typeInfo{size: uint64(val.Size), align: val.align}}
		t.keys.arrange(key.align)
	}
	return t.keys, ""
}

// treeType is how nodes are laid out; nil if that is not to be known.
func (w *rootWalk) treeType(t *walkType) (tt *treeType, wrong string) {
	if t.tree == nil {
		key, val, wrong := w.entry(t)
		if wrong != "" || key == nil {
			return nil, wrong
		}
		t.tree = &treeType{keyType: w.keyType(t.Key), val: &typeInfo{size: uint64(val.Size), align: val.align}}
		t.tree.arrange()
	}
	return t.tree, ""
}

// entry is the key and value type of a Map or a tree.
func (w *rootWalk) entry(t *walkType) (key, val *walkType, wrong string) {
	key, val = w.typ(t.Key), w.typ(t.Elem)
	switch {
	case key.wrong != "":
		return nil, nil, key.wrong
	case val.wrong != "":
		return nil, nil, val.wrong
	case val.Size > maxInline: // it is an allocation of its own
		if !key.sure {
			return nil, nil, ""
		}
	case !key.sure || !val.sure:
		return nil, nil, ""
	}
	if key.Size > maxKeySize {
		return nil, nil, fmt.Sprintf("a key of %d bytes", key.Size)
	}
	return key, val, ""
}

// maxKeySize is the largest key that is believed in, in bytes.
const maxKeySize = 1 << 20

// keyType is what describeKey makes of a Go type.
func (w *rootWalk) keyType(i int) keyType {
	kt := keyType{keySize: uint64(w.types[i].Size)}
	if w.types[i].Kind == "string" {
		kt.class = keyText
		return kt
	}
	w.addKeyParts(&kt, i, 0)
	kt.classify()
	return kt
}

func (w *rootWalk) addKeyParts(kt *keyType, i int, off uint64) {
	t := &w.types[i]
	switch {
	case t.Size == 0:
	case t.Kind == "string":
		kt.parts = append(kt.parts, keyPart{off: off, n: uint64(t.Size), text: true})
	case t.Kind == kindStruct:
		for _, f := range t.Fields {
			w.addKeyParts(kt, f.Type, off+uint64(f.Offset))
		}
	case t.Kind == kindArray && w.holdsText(t.Elem):
		for j := range uint64(t.Len) {
			w.addKeyParts(kt, t.Elem, off+j*uint64(w.types[t.Elem].Size))
		}
	default:
		kt.addBytes(off, uint64(t.Size))
	}
}

// holdsText reports whether a key type holds a Go string.
func (w *rootWalk) holdsText(i int) bool {
	t := &w.types[i]
	switch t.Kind {
	case "string":
		return true
	case kindRef:
		return false
	case kindArray:
		return t.Len > 0 && w.holdsText(t.Elem)
	case kindStruct:
		for _, f := range t.Fields {
			if w.types[f.Type].Size > 0 && w.holdsText(f.Type) {
				return true
			}
		}
	}
	return false
}
