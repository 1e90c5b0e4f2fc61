package cowheap

import (
	"fmt"
	"reflect"
)

// checkKey refuses what is in type t but cannot be in the key of a Map or a tree. Keys are
// compared and hashed as bytes, so equal keys must have equal bytes.
func checkKey(refuse func(path string, t reflect.Type, remedy string), t reflect.Type, path string) {
	switch shape, _, _ := shapeOf(t); shape {
	case shapeRef:
		return // its offset
	case shapeText:
		refuse(path, t, "a Map keeps the bytes of its keys itself: use string as key type")
		return
	case shapeVec, shapeMap, shapeTree, shapeTreeFunc, shapeQueue:
		refuse(path, t, "a container is no key")
		return
	}
	switch t.Kind() {
	case reflect.Bool, reflect.String,
		reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64,
		reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
	case reflect.Array:
		if t.Len() > 0 {
			checkKey(refuse, t.Elem(), path+"[]")
		}
	case reflect.Struct:
		checkKeyFields(refuse, t, path)
	case reflect.Float32, reflect.Float64, reflect.Complex64, reflect.Complex128:
		refuse(path, t, "equal numbers may differ in their bytes and NaN equals nothing: use the bits, or an integer")
	default:
		remedy := refusedKind(t)
		if remedy == "" || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
			remedy = "keys are strings, integers, bools, and arrays and structs of these"
		}
		refuse(path, t, remedy)
	}
}

func checkKeyFields(refuse func(path string, t reflect.Type, remedy string), t reflect.Type, path string) {
	if remedy := refusedStruct(t); remedy != "" {
		refuse(path, t, remedy)
		return
	}
	end, last := uintptr(0), ""
	padded := func(upTo uintptr) {
		if upTo > end {
			refuse(path, t, fmt.Sprintf("%d bytes of padding after %s: reorder the fields, or fill it with a field that has a name", upTo-end, last))
		}
	}
	for i := range t.NumField() {
		f := t.Field(i)
		padded(f.Offset)
		end, last = f.Offset+f.Type.Size(), f.Name
		if f.Name == "_" && f.Type.Size() > 0 {
			refuse(join(path, f.Name), f.Type, "== passes over blank fields, a Map cannot: give it a name")
			continue
		}
		checkKey(refuse, f.Type, join(path, f.Name))
	}
	padded(t.Size())
}
