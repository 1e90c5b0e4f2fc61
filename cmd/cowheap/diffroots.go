package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"reflect"
	"strconv"

	"github.com/cowheap/cowheap/checkpoint"
)

type rootDiff struct {
	Name   string      `json:"name"`
	Reason string      `json:"reason"`
	Fields []fieldDiff `json:"fields"` // at most maxFields
}

type fieldDiff struct {
	Path string `json:"path"`
	A    string `json:"a"` // values; of a container the words by which it finds its memory
	B    string `json:"b"`
}

const (
	maxFields = 100
	maxValue  = 64 << 20 // bytes of a root that are compared
)

// roots compares what both have, and names what one has.
func (d *difference) roots(a, b *checkpoint.Image) error {
	add := func(name, reason string, fields []fieldDiff) {
		if fields == nil {
			fields = []fieldDiff{}
		}
		d.Roots = append(d.Roots, rootDiff{name, reason, fields})
	}
	others := map[string]checkpoint.Root{}
	for _, r := range b.Info().Roots {
		others[r.Name] = r
	}
	for _, r := range a.Info().Roots {
		o, ok := others[r.Name]
		delete(others, r.Name)
		switch {
		case !ok:
			add(r.Name, "only in a", nil)
			continue
		case !reflect.DeepEqual(r.Layout, o.Layout):
			add(r.Name, "the layouts differ", nil)
			continue
		case len(r.Layout) == 0 || r.Layout[0].Size > maxValue:
			continue
		}
		size := r.Layout[0].Size
		p, err := readValue(a, r.Offset, size)
		if err != nil {
			return fmt.Errorf("root %q of a: %w", r.Name, err)
		}
		q, err := readValue(b, o.Offset, size)
		if err != nil {
			return fmt.Errorf("root %q of b: %w", r.Name, err)
		}
		if !bytes.Equal(p, q) {
			c := fieldComparer{layout: r.Layout, left: 4*len(p) + 100_000}
			c.compare(0, "", p, q, 0)
			add(r.Name, "the values differ", c.fields)
		}
	}
	for _, r := range b.Info().Roots {
		if _, ok := others[r.Name]; ok {
			add(r.Name, "only in b", nil)
		}
	}
	return nil
}

// readValue reads size bytes at an offset that came out of a file.
func readValue(im *checkpoint.Image, off uint64, size int64) ([]byte, error) {
	if size < 0 || off > uint64(im.Size()) || uint64(size) > uint64(im.Size())-off {
		return nil, fmt.Errorf("%d bytes at %#x are not in the arena: %w", size, off, checkpoint.ErrCorrupt)
	}
	p := make([]byte, size)
	if n, err := im.ReadAt(p, int64(off)); n < len(p) {
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return nil, err
	}
	return p, nil
}

// fieldComparer lists what differs. Layouts come out of files: sizes may not add up.
type fieldComparer struct {
	layout checkpoint.Layout
	fields []fieldDiff
	left   int // parts that may still be looked at: a layout may hold itself, often
}

func (c *fieldComparer) compare(typ int, path string, p, q []byte, depth int) {
	if c.left--; c.left < 0 || len(c.fields) == maxFields || bytes.Equal(p, q) || typ < 0 || typ >= len(c.layout) || depth > 32 {
		return
	}
	t := &c.layout[typ]
	switch {
	case t.Kind == "struct" && len(t.Fields) > 0:
		for _, f := range t.Fields {
			name := f.Name
			if path != "" {
				name = path + "." + name
			}
			c.part(f.Type, name, f.Offset, p, q, depth)
		}
	case t.Kind == "array" && t.Elem >= 0 && t.Elem < len(c.layout) && c.layout[t.Elem].Size > 0:
		each := c.layout[t.Elem].Size
		for i := int64(0); i < t.Len && i*each < int64(len(p)) && c.left > 0; i++ {
			c.part(t.Elem, fmt.Sprintf("%s[%d]", path, i), i*each, p, q, depth)
		}
	default:
		if path == "" {
			path = "value"
		}
		c.fields = append(c.fields, fieldDiff{path, valueText(t.Kind, p), valueText(t.Kind, q)})
	}
}

// part compares a part of p and q.
func (c *fieldComparer) part(typ int, path string, off int64, p, q []byte, depth int) {
	if typ < 0 || typ >= len(c.layout) {
		return
	}
	size := c.layout[typ].Size
	if off < 0 || size < 0 || off > int64(len(p)) || size > int64(len(p))-off {
		return
	}
	c.compare(typ, path, p[off:off+size], q[off:off+size], depth+1)
}

// valueText is a number as Go prints it, and hexadecimal bytes for what is none.
func valueText(kind string, b []byte) string {
	var u uint64
	switch len(b) {
	case 1:
		u = uint64(b[0])
	case 2:
		u = uint64(binary.LittleEndian.Uint16(b))
	case 4:
		u = uint64(binary.LittleEndian.Uint32(b))
	case 8:
		u = binary.LittleEndian.Uint64(b)
	default:
		kind = ""
	}
	bits := 64 - 8*len(b)
	switch kind {
	case "bool":
		return strconv.FormatBool(u != 0)
	case "int", "int8", "int16", "int32", "int64":
		return strconv.FormatInt(int64(u<<bits)>>bits, 10)
	case "uint", "uint8", "uint16", "uint32", "uint64", "uintptr":
		return strconv.FormatUint(u, 10)
	case "float32":
		return strconv.FormatFloat(float64(math.Float32frombits(uint32(u))), 'g', -1, 32)
	case "float64":
		return strconv.FormatFloat(math.Float64frombits(u), 'g', -1, 64)
	}
	if len(b) > 24 {
		return fmt.Sprintf("%x...", b[:24])
	}
	return fmt.Sprintf("%x", b)
}
