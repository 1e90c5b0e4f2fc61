package checkpoint

import (
	"bytes"

	"github.com/vmihailenco/msgpack/v5"
)

// The metadata is one msgpack map, with every key always there and always in the
// same order, so that equal roots give equal bytes. It is written and read by
// hand rather than by reflection: a reader of untrusted input must decide itself
// what it allocates and how deep it goes.
var (
	metaKeys  = []string{"roots"}
	rootKeys  = []string{"name", "off", "layout"}
	typeKeys  = []string{"name", "kind", "size", "elem", "key", "len", "fields"}
	fieldKeys = []string{"name", "off", "type"}
)

// encodeMetadata returns the msgpack form of roots.
func encodeMetadata(roots []Root) ([]byte, error) {
	var buf bytes.Buffer
	w := metaWriter{enc: msgpack.NewEncoder(&buf)}
	w.object(metaKeys, func(int) { list(&w, roots, (*metaWriter).root) })
	return buf.Bytes(), w.err
}

func (w *metaWriter) root(r Root) {
	w.object(rootKeys, func(key int) {
		switch key {
		case 0:
			w.text(r.Name)
		case 1:
			w.do(w.enc.EncodeUint(r.Offset))
		case 2:
			list(w, r.Layout, (*metaWriter).typ)
		}
	})
}

func (w *metaWriter) typ(t Type) {
	w.object(typeKeys, func(key int) {
		switch key {
		case 0:
			w.text(t.Name)
		case 1:
			w.text(t.Kind)
		case 2:
			w.num(t.Size)
		case 3:
			w.num(int64(t.Elem))
		case 4:
			w.num(int64(t.Key))
		case 5:
			w.num(t.Len)
		case 6:
			list(w, t.Fields, (*metaWriter).field)
		}
	})
}

func (w *metaWriter) field(f Field) {
	w.object(fieldKeys, func(key int) {
		switch key {
		case 0:
			w.text(f.Name)
		case 1:
			w.num(f.Offset)
		case 2:
			w.num(int64(f.Type))
		}
	})
}

// metaWriter keeps the first error, so that the encoder reads like the format.
type metaWriter struct {
	enc *msgpack.Encoder
	err error
}

func (w *metaWriter) do(err error) {
	if w.err == nil {
		w.err = err
	}
}

func (w *metaWriter) text(s string) { w.do(w.enc.EncodeString(s)) }
func (w *metaWriter) num(n int64)   { w.do(w.enc.EncodeInt(n)) }

// object writes a map with these keys; value writes the value of keys[i].
func (w *metaWriter) object(keys []string, value func(i int)) {
	w.do(w.enc.EncodeMapLen(len(keys)))
	for i, key := range keys {
		w.text(key)
		value(i)
	}
}

// list writes an array.
func list[T any](w *metaWriter, s []T, elem func(*metaWriter, T)) {
	w.do(w.enc.EncodeArrayLen(len(s)))
	for _, v := range s {
		elem(w, v)
	}
}
