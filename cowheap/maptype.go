package cowheap

import "reflect"

// mapType is what the code of maps, which is not generic, needs to know of a
// Map's key and value type. The sizes in it are part of the format: both types
// are in the recorded layout, and these follow from them.
type mapType struct {
	keyType

	val *typeInfo
	// apart: values are allocations of their own, and slots hold their offsets.
	// Large values would make groups large, move far at every growth, and leave
	// room for eight of them where there is one.
	apart bool

	valAt     uint64 // bytes from a slot to its value, or to the value's offset
	slotSize  uint64
	groupSize uint64
	maxGroups uint64 // of a table, before it is split
}

const (
	groupSlots = 8
	ctrlSize   = 8 // of the control word in front of a group's slots

	// maxInline is the largest value that is kept in its slot, in bytes.
	maxInline = 128
	// A table is split once it has 128 groups or takes maxTable bytes, but not
	// below 4 groups: so an insertion moves at most 1024 entries or 64 KiB.
	maxTable       = 64 << 10
	mostGroups     = 128
	leastMaxGroups = 4
)

var mapTypes typeTable[mapType]

// mapTypeOf returns the mapType of Map[K, V].
func mapTypeOf[K comparable, V any]() *mapType {
	word := typeWord[Map[K, V]]()
	if mt := mapTypes.get(word); mt != nil {
		return mt
	}
	describeMu.Lock()
	defer describeMu.Unlock()
	mt := describeMap(reflect.TypeFor[K](), reflect.TypeFor[V]())
	finishDescribing()
	return mapTypes.add(word, mt)
}

// describedMaps holds the mapTypes by key and value type, like described.
var describedMaps = map[[2]reflect.Type]*mapType{}

// describeMap works out a mapType.
//
// Preconditions: describeMu is held, and finishDescribing will be called.
func describeMap(key, val reflect.Type) *mapType {
	if mt := describedMaps[[2]reflect.Type{key, val}]; mt != nil {
		return mt
	}
	mt := &mapType{val: declare(val)}
	describedMaps[[2]reflect.Type{key, val}] = mt
	mt.describeKey(key)

	mt.arrange(uint64(key.Align()))
	return mt
}

// arrange lays out slots and groups.
//
// Preconditions: the key is described, and val has its size and alignment.
func (mt *mapType) arrange(keyAlign uint64) {
	size, align := mt.val.size, mt.val.align
	if mt.apart = size > maxInline; mt.apart {
		size, align = 8, 8
	}
	mt.valAt = (mt.keySize + align - 1) &^ (align - 1)
	align = max(align, keyAlign)
	mt.slotSize = max(1, (mt.valAt+size+align-1)&^(align-1))
	mt.groupSize = ctrlSize + groupSlots*mt.slotSize
	mt.groupSize = (mt.groupSize + 7) &^ 7 // control words are aligned
	mt.maxGroups = mostGroups
	for mt.maxGroups > leastMaxGroups && mt.maxGroups*mt.groupSize > maxTable {
		mt.maxGroups /= 2
	}
}
