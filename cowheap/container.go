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
)

func (*Ref[T]) refTarget() reflect.Type { return reflect.TypeFor[T]() }

func (*Vec[T]) vecElem() reflect.Type { return reflect.TypeFor[T]() }

func (*Map[K, V]) mapKeyElem() (key, elem reflect.Type) {
	return reflect.TypeFor[K](), reflect.TypeFor[V]()
}

// shape is what a type is to this package.
type shape uint8

const (
	shapeOther shape = iota // what its reflect.Kind says
	shapeRef
	shapeVec
	shapeMap
	shapeText // String
)

// shapeOf returns the shape of t, its element type and a Map's key type.
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
	}
	return shapeOther, nil, nil
}

var ownPath = reflect.TypeFor[String]().PkgPath()
