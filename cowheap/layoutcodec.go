package cowheap

import (
	"encoding/binary"
	"errors"

	"github.com/cowheap/cowheap/checkpoint"
)

// A layout is kept in the heap as a row of numbers and texts: the number of
// types; of each its name, kind, size, elem+1, key+1, len and number of fields;
// of each field its name, offset and type. A number is a uvarint, a text its
// length and its bytes.

func encodeLayout(l checkpoint.Layout) []byte {
	b := binary.AppendUvarint(nil, uint64(len(l)))
	for i := range l {
		t := &l[i]
		b = appendText(b, t.Name)
		b = appendText(b, t.Kind)
		b = binary.AppendUvarint(b, uint64(t.Size))
		b = binary.AppendUvarint(b, uint64(t.Elem+1))
		b = binary.AppendUvarint(b, uint64(t.Key+1))
		b = binary.AppendUvarint(b, uint64(t.Len))
		b = binary.AppendUvarint(b, uint64(len(t.Fields)))
		for _, f := range t.Fields {
			b = appendText(b, f.Name)
			b = binary.AppendUvarint(b, uint64(f.Offset))
			b = binary.AppendUvarint(b, uint64(f.Type))
		}
	}
	return b
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

var errLayoutRecord = errors.New("record of a type layout is damaged")

// decodeLayout is the inverse of encodeLayout for bytes of any origin: it
// returns a layout whose references are inside it, or an error, and allocates a
// few times the length of b at most.
func decodeLayout(b []byte) (checkpoint.Layout, error) {
	d := layoutDecoder{rest: b}
	types := d.count()
	var l checkpoint.Layout
	for range types {
		t := checkpoint.Type{Name: d.text(), Kind: d.text(), Size: int64(d.number())}
		t.Elem, t.Key = d.index(types+1)-1, d.index(types+1)-1
		t.Len = int64(d.number())
		for range d.count() {
			t.Fields = append(t.Fields, checkpoint.Field{
				Name: d.text(), Offset: int64(d.number()), Type: d.index(types),
			})
			if d.bad {
				break
			}
		}
		if d.bad {
			break
		}
		l = append(l, t)
	}
	if d.bad || len(d.rest) != 0 || types == 0 {
		return nil, errLayoutRecord
	}
	return l, nil
}

// layoutDecoder reads numbers and texts until something is wrong, and zeros from
// then on.
type layoutDecoder struct {
	rest []byte
	bad  bool
}

// number reads a number below 1<<62: a size, offset or count of an address space.
func (d *layoutDecoder) number() uint64 {
	v, n := binary.Uvarint(d.rest)
	if d.bad || n <= 0 || v >= 1<<62 {
		d.bad = true
		return 0
	}
	d.rest = d.rest[n:]
	return v
}

// count reads the number of things that follow, each of which takes a byte.
func (d *layoutDecoder) count() int {
	v := d.number()
	if v > uint64(len(d.rest)) {
		d.bad = true
		return 0
	}
	return int(v)
}

// index reads a number below n.
func (d *layoutDecoder) index(n int) int {
	v := d.number()
	if v >= uint64(n) {
		d.bad = true
		return 0
	}
	return int(v)
}

func (d *layoutDecoder) text() string {
	n := d.count()
	s := string(d.rest[:n])
	d.rest = d.rest[n:]
	return s
}
