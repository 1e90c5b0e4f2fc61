package cowheap

import (
	"fmt"
	"slices"

	"github.com/cowheap/cowheap/checkpoint"
)

// compareLayouts tells how is, a layout of this program, differs from was, one
// that a heap holds. grown reports that there is no difference but that blank
// bytes of was have become fields: then is must be recorded in place of was, so
// that the fields are compared the next time.
//
// was comes out of a file and may be anything; is must be what layoutOf returns.
// Names of types do not count. Paths start with name.
func compareLayouts(was, is checkpoint.Layout, name string) (differences []Difference, grown bool) {
	c := layoutComparer{was: was, is: is, compared: map[[2]int]bool{}}
	c.types(0, 0, name)
	return c.differences, c.grown && len(c.differences) == 0
}

type layoutComparer struct {
	was, is     checkpoint.Layout
	compared    map[[2]int]bool // indices into was and is: done, or being done
	differences []Difference
	grown       bool
}

func (c *layoutComparer) differ(path, was, is string) {
	if len(c.differences) < maxDifferences {
		c.differences = append(c.differences, Difference{Path: path, Was: was, Is: is})
	}
}

// types compares type w of was with type i of is.
func (c *layoutComparer) types(w, i int, path string) {
	if c.compared[[2]int{w, i}] {
		return
	}
	c.compared[[2]int{w, i}] = true
	if w < 0 || w >= len(c.was) {
		c.differ(path, "a type that is not in the record", describeType(c.is, i))
		return
	}
	was, is := &c.was[w], &c.is[i]
	if was.Kind != is.Kind || was.Size != is.Size && is.Kind != kindStruct || was.Len != is.Len {
		c.differ(path, describeType(c.was, w), describeType(c.is, i))
		return
	}
	switch is.Kind {
	case kindArray:
		if is.Len > 0 {
			c.types(was.Elem, is.Elem, path+"[]")
		}
	case kindRef:
		c.types(was.Elem, is.Elem, path+"->")
	case kindVec, kindQueue:
		c.types(was.Elem, is.Elem, path+"[]")
	case kindMap, kindTree, kindOrder:
		c.types(was.Key, is.Key, path+"[key]")
		c.types(was.Elem, is.Elem, path+"[]")
	case kindStruct:
		c.structs(was, is, path)
	}
}

// structs compares field by field, each by its name.
func (c *layoutComparer) structs(was, is *checkpoint.Type, path string) {
	before := len(c.differences)
	for _, w := range was.Fields {
		if n, until := c.reserved(w); n > 0 {
			if !slices.ContainsFunc(is.Fields, func(i checkpoint.Field) bool {
				return w.Offset <= i.Offset && i.Offset < until
			}) {
				c.differ(join(path, w.Name), describeField(c.was, w), "absent")
			}
			continue
		}
		at := slices.IndexFunc(is.Fields, func(i checkpoint.Field) bool {
			return i.Name == w.Name && (i.Name != "_" || i.Offset == w.Offset)
		})
		if at < 0 {
			c.differ(join(path, w.Name), describeField(c.was, w), "absent")
			continue
		}
		i := is.Fields[at]
		if w.Offset != i.Offset {
			c.differ(join(path, w.Name), describeField(c.was, w), describeField(c.is, i))
			continue
		}
		c.types(w.Type, i.Type, join(path, w.Name))
	}
	for _, i := range is.Fields {
		if slices.ContainsFunc(was.Fields, func(w checkpoint.Field) bool {
			reserved, _ := c.reserved(w)
			return reserved == 0 && w.Name == i.Name && (w.Name != "_" || w.Offset == i.Offset)
		}) {
			continue // compared above
		}
		if !c.fills(was, i) {
			c.differ(join(path, i.Name), "absent", describeField(c.is, i))
		}
	}
	if was.Size != is.Size && len(c.differences) == before {
		c.differ(path, fmt.Sprintf("%d bytes", was.Size), fmt.Sprintf("%d bytes", is.Size))
	}
}

// reserved returns the extent of a field of was that sets bytes aside.
func (c *layoutComparer) reserved(w checkpoint.Field) (n, end int64) {
	if w.Name != "_" || w.Type < 0 || w.Type >= len(c.was) {
		return 0, 0
	}
	t := &c.was[w.Type]
	if t.Kind != kindArray || t.Len <= 0 || t.Size != t.Len || t.Elem < 0 || t.Elem >= len(c.was) || c.was[t.Elem].Kind != "uint8" {
		return 0, 0
	}
	return t.Size, w.Offset + t.Size
}

// fills reports whether field i of is lies in bytes that was sets aside.
func (c *layoutComparer) fills(was *checkpoint.Type, i checkpoint.Field) bool {
	end := i.Offset + c.is[i.Type].Size
	for _, w := range was.Fields {
		n, until := c.reserved(w)
		if n == 0 || i.Offset < w.Offset || end > until {
			continue
		}
		if i.Name != "_" || i.Offset != w.Offset || end != until {
			c.grown = true // else it is the same blank field again
		}
		return true
	}
	return false
}

func describeField(l checkpoint.Layout, f checkpoint.Field) string {
	return fmt.Sprintf("%s at offset %d", describeType(l, f.Type), f.Offset)
}

// describeType says what matters of type i. Indices out of a file may be wrong,
// and may lead in circles.
func describeType(l checkpoint.Layout, i int) string {
	return describeNested(l, i, 4)
}

func describeNested(l checkpoint.Layout, i, depth int) string {
	if i < 0 || i >= len(l) || depth == 0 {
		return "..."
	}
	t := &l[i]
	switch t.Kind {
	case kindStruct:
		return fmt.Sprintf("struct %s of %d bytes", t.Name, t.Size)
	case kindArray:
		if t.Len == 0 {
			return "[0]..."
		}
		return fmt.Sprintf("[%d]%s", t.Len, describeNested(l, t.Elem, depth-1))
	case kindRef:
		return "Ref[" + describeNested(l, t.Elem, depth-1) + "]"
	case kindVec, kindQueue:
		return t.Kind + "[" + describeNested(l, t.Elem, depth-1) + "]"
	case kindMap, kindTree, kindOrder:
		return t.Kind + "[" + describeNested(l, t.Key, depth-1) + "," + describeNested(l, t.Elem, depth-1) + "]"
	}
	return t.Kind
}
