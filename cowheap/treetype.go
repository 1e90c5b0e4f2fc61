package cowheap

import "reflect"

// treeType is what the code of trees, which is not generic, needs to know of a
// tree's key and value type. The sizes in it are part of the format: both types
// are in the recorded layout, and these follow from them.
type treeType struct {
	keyType

	val *typeInfo
	// apart: values are allocations of their own, as in a Map, and nodes hold
	// their offsets.
	apart   bool
	valSize uint64 // bytes of a value in a node

	leaf, inner nodeShape
}

// nodeShape is how a node is laid out: the head, room for keys, room for the
// offsets of children (not in a leaf), room for values. Keys lie together so that
// a search brings in few cache lines.
type nodeShape struct {
	room    uint32 // entries that fit
	least   uint32 // entries that a node has, but for the last of its level and the root
	childAt uint64
	valAt   uint64
	size    uint64
}

const (
	nodeHeadSize = 8
	// nodeSize is about what a node takes, in bytes. Measured with 1e6 entries:
	// 512 made ranges 1.4 times slower and lookups no faster; 2048 made ranges 1.2
	// times faster and lookups no faster, and a change would write to more.
	nodeSize = 1024
	// minNodeRoom bounds the height of trees with large keys: every node has at
	// least three children, but for those at the right edge.
	minNodeRoom = 8
	// maxTreeHeight is more levels than an address space has room for: 2^47
	// bytes in nodes of at least three children.
	maxTreeHeight = 32
)

var treeTypes typeTable[treeType]

// treeTypeOf returns the treeType of Tree, a BTree[K, V] or a BTreeFunc[K, V].
func treeTypeOf[Tree, K, V any]() *treeType {
	word := typeWord[Tree]()
	if tt := treeTypes.get(word); tt != nil {
		return tt
	}
	describeMu.Lock()
	defer describeMu.Unlock()
	tt := describeTree(reflect.TypeFor[K](), reflect.TypeFor[V]())
	finishDescribing()
	return treeTypes.add(word, tt)
}

// describedTrees holds the treeTypes by key and value type, like described. How
// keys are ordered is not in them.
var describedTrees = map[[2]reflect.Type]*treeType{}

// describeTree works out a treeType.
//
// Preconditions: describeMu is held, and finishDescribing will be called.
func describeTree(key, val reflect.Type) *treeType {
	if tt := describedTrees[[2]reflect.Type{key, val}]; tt != nil {
		return tt
	}
	tt := &treeType{val: declare(val)}
	describedTrees[[2]reflect.Type{key, val}] = tt
	tt.describeKey(key)
	tt.arrange()
	return tt
}

// arrange lays out nodes.
//
// Preconditions: the key is described, and val has its size and alignment.
func (tt *treeType) arrange() {
	align := tt.val.align
	tt.valSize = tt.val.size
	if tt.apart = tt.valSize > maxInline; tt.apart {
		tt.valSize, align = 8, 8
	}
	tt.leaf = tt.shape(0, align)
	tt.inner = tt.shape(8, align)
}

// shape lays out a node with childSize bytes for each child.
func (tt *treeType) shape(childSize, valAlign uint64) nodeShape {
	each := max(1, tt.keySize+childSize+tt.valSize)
	room := max(minNodeRoom, (nodeSize-nodeHeadSize-childSize)/each)
	var s nodeShape
	s.room, s.least = uint32(room), uint32(room/3)
	end := nodeHeadSize + room*tt.keySize
	if childSize > 0 {
		s.childAt = (end + 7) &^ 7
		end = s.childAt + 8*(room+1)
	}
	s.valAt = (end + valAlign - 1) &^ (valAlign - 1)
	s.size = (s.valAt + room*tt.valSize + 7) &^ 7
	return s
}

// shapeAt is the shape of nodes at a level.
func (tt *treeType) shapeAt(level uint32) *nodeShape {
	if level == 0 {
		return &tt.leaf
	}
	return &tt.inner
}

// mustCopy panics if values hold a container of which there must not be a copy.
func (tt *treeType) mustCopy(op string) {
	if tt.val.fixed {
		panic("cowheap: " + op + " of a value with a container in it: containers must not be copied; use Ptr")
	}
}
