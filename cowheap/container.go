package cowheap

import (
	"reflect"
	"strings"
)

// Generic types are known by unexported methods that only this package's types
// can have: reflection tells the name of an instance of Map, not its arguments.
// The methods take pointers, which may be nil, so that nothing is copied.
type (
	isRef interface{ refTarget() reflect.Type }
	isVec interface{ vecElem() reflect.Type }
	isMap interface {
		mapKeyElem() (key, elem reflect.Type)
	}
	isTree interface {
		treeKeyElem() (key, elem reflect.Type)
	}
	isQueue interface{ queueElem() reflect.Type }
)

func (*Ref[T]) refTarget() reflect.Type { return reflect.TypeFor[T]() }

func (*Vec[T]) vecElem() reflect.Type { return reflect.TypeFor[T]() }

func (*Map[K, V]) mapKeyElem() (key, elem reflect.Type) {
	return reflect.TypeFor[K](), reflect.TypeFor[V]()
}

func (*BTree[K, V]) treeKeyElem() (key, elem reflect.Type) {
	return reflect.TypeFor[K](), reflect.TypeFor[V]()
}

func (*BTreeFunc[K, V]) treeKeyElem() (key, elem reflect.Type) {
	return reflect.TypeFor[K](), reflect.TypeFor[V]()
}

func (*Queue[T]) queueElem() reflect.Type { return reflect.TypeFor[T]() }

// shape is what a type is to this package.
type shape uint8

const (
	shapeOther shape = iota // what its reflect.Kind says
	shapeRef
	shapeVec
	shapeMap
	shapeTree     // BTree
	shapeTreeFunc // BTreeFunc
	shapeQueue
	shapeText // String
)

// shapeOf returns the shape of t, its element type and the key type of
// what has keys.
func shapeOf(t reflect.Type) (s shape, elem, key reflect.Type) {
	if t.Kind() != reflect.Struct || t.PkgPath() != ownPath {
		return shapeOther, nil, nil
	}
	if t == reflect.TypeFor[String]() {
		return shapeText, nil, nil
	}
	// The name counts too: a struct that embeds a container has its methods.
	name, _, _ := strings.Cut(t.Name(), "[")
	c := reflect.Zero(reflect.PointerTo(t)).Interface()
	switch name {
	case "Ref":
		return shapeRef, c.(isRef).refTarget(), nil
	case "Vec":
		return shapeVec, c.(isVec).vecElem(), nil
	case "Map":
		key, elem = c.(isMap).mapKeyElem()
		return shapeMap, elem, key
	case "BTree":
		key, elem = c.(isTree).treeKeyElem()
		return shapeTree, elem, key
	case "BTreeFunc":
		key, elem = c.(isTree).treeKeyElem()
		return shapeTreeFunc, elem, key
	case "Queue":
		return shapeQueue, c.(isQueue).queueElem(), nil
	}
	return shapeOther, nil, nil
}

var ownPath = reflect.TypeFor[String]().PkgPath()
