package cowheap

import (
	"fmt"
	"reflect"
	"strings"
)

// TypeError says why values of a type cannot be in a heap, or be the keys of a
// Map or a tree. Alloc and Root return it, once worked out the same each time.
type TypeError struct {
	Type   string       // that was asked for
	Fields []FieldError // every offending field, at most 100
}

// FieldError is one offending field of a TypeError.
type FieldError struct {
	// Path leads to the field: Row.Name is a field, Row.Tags[] the elements of an
	// array or a container, Row.Index[key] the keys of a Map or a tree, and Row.Next->Name
	// a field of what a Ref refers to.
	Path   string
	Type   string // of the field
	Remedy string
}

func (e *FieldError) Error() string {
	return fmt.Sprintf("%s: %s (%s)", e.Path, e.Type, e.Remedy)
}

func (e *TypeError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s cannot be in a heap", e.Type)
	sep := ": "
	for i := range e.Fields {
		b.WriteString(sep)
		b.WriteString(e.Fields[i].Error())
		sep = "; "
	}
	return b.String()
}

// maxFieldErrors ends a TypeError that says the same by too many ways.
const maxFieldErrors = 100

// checkType returns a *TypeError if t, or what it refers to, may not be in a
// heap.
func checkType(t reflect.Type) error {
	c := typeChecker{onPath: map[reflect.Type]bool{}, clean: map[reflect.Type]bool{}}
	c.target(t, typeName(t))
	if len(c.found) == 0 {
		return nil
	}
	return &TypeError{Type: t.String(), Fields: c.found}
}

func typeName(t reflect.Type) string {
	if t.Name() != "" {
		return t.Name()
	}
	return t.String()
}

type typeChecker struct {
	found  []FieldError
	onPath map[reflect.Type]bool // what leads to here, by Refs and containers
	clean  map[reflect.Type]bool // nothing was found in these
}

func (c *typeChecker) refuse(path string, t reflect.Type, remedy string) {
	if len(c.found) < maxFieldErrors {
		c.found = append(c.found, FieldError{Path: path, Type: t.String(), Remedy: remedy})
	}
}

// target checks the type that was asked for, or what a Ref or a container leads
// to. A type may lead to itself.
func (c *typeChecker) target(t reflect.Type, path string) {
	if c.onPath[t] || c.clean[t] || len(c.found) == maxFieldErrors {
		return
	}
	before := len(c.found)
	c.onPath[t] = true
	c.value(t, path)
	delete(c.onPath, t)
	if len(c.found) == before {
		c.clean[t] = true
	}
}

// value checks a value of type t.
func (c *typeChecker) value(t reflect.Type, path string) {
	switch shape, elem, key := shapeOf(t); shape {
	case shapeText:
		return
	case shapeRef:
		c.target(elem, path+"->")
		return
	case shapeVec, shapeQueue:
		c.target(elem, path+"[]")
		return
	case shapeTree:
		if kind := key.Kind(); kind != reflect.Float32 && kind != reflect.Float64 { // they have an order
			checkKey(c.refuse, key, path+"[key]")
		}
		c.target(elem, path+"[]")
		return
	case shapeMap, shapeTreeFunc:
		checkKey(c.refuse, key, path+"[key]")
		c.target(elem, path+"[]")
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		if remedy := refusedStruct(t); remedy != "" {
			c.refuse(path, t, remedy)
			return
		}
		for i := range t.NumField() {
			f := t.Field(i)
			c.value(f.Type, join(path, f.Name))
		}
	case reflect.Array:
		if t.Len() > 0 { // none of something is nothing
			c.value(t.Elem(), path+"[]")
		}
	default:
		if remedy := refusedKind(t); remedy != "" {
			c.refuse(path, t, remedy)
		}
	}
}

// join appends a field's name to a path, which may end in an arrow.
func join(path, name string) string {
	if strings.HasSuffix(path, "->") {
		return path + name
	}
	return path + "." + name
}

// refusedStruct returns what to use in place of a struct that is refused for
// what it is, whatever its fields are.
func refusedStruct(t reflect.Type) (remedy string) {
	switch {
	case t.PkgPath() == "sync":
		return "keep locks and what waits on them in Go memory, beside the heap"
	case t.PkgPath() == "time" && t.Name() == "Time":
		return "it holds a pointer to its location: store UnixNano as int64"
	case t.PkgPath() == "sync/atomic" && (t.Name() == "Value" || strings.HasPrefix(t.Name(), "Pointer[")):
		return "it holds a Go pointer: use an atomic integer, or a cowheap.Ref and a lock beside the heap"
	}
	return ""
}

// refusedKind returns what to use in place of a type without parts, or "" if it
// may be in a heap.
func refusedKind(t reflect.Type) (remedy string) {
	switch t.Kind() {
	case reflect.String:
		return "use cowheap.String"
	case reflect.Slice:
		return "use cowheap.Vec"
	case reflect.Map:
		return "use cowheap.Map"
	case reflect.Pointer, reflect.UnsafePointer:
		return "use cowheap.Ref"
	case reflect.Uintptr:
		return "an address means nothing after a restore; for a number use uint64"
	case reflect.Chan, reflect.Func, reflect.Interface:
		return "keep it in Go memory, beside the heap"
	}
	return ""
}
