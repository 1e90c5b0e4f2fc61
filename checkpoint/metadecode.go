package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/vmihailenco/msgpack/v5"
	"github.com/vmihailenco/msgpack/v5/msgpcode"
)

// maxSkipDepth bounds the nesting of values under keys that this version does
// not know.
const maxSkipDepth = 16

// metaReader decodes metadata from memory. Every map must have the keys that it
// is asked for, and nothing is allocated before its bytes were seen: what comes
// out takes a few times the room of what went in, whoever wrote it.
type metaReader struct {
	dec  *msgpack.Decoder
	rest *bytes.Reader // what the decoder has not read; it does not buffer
}

// decodeMetadata is the inverse of encodeMetadata. Keys it does not know are
// skipped: a later version may add some without a new format version.
func decodeMetadata(b []byte) (roots []Root, err error) {
	rest := bytes.NewReader(b)
	m := metaReader{dec: msgpack.NewDecoder(rest), rest: rest}
	err = m.object(metaKeys, func(int) error { return readList(&m, &roots, (*metaReader).root) })
	if err == nil && rest.Len() != 0 {
		err = fmt.Errorf("%d bytes after the end", rest.Len())
	}
	if err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF
		}
		return nil, fmt.Errorf("metadata at byte %d: %w", len(b)-rest.Len(), err)
	}
	return roots, nil
}

func (m *metaReader) root(r *Root) error {
	return m.object(rootKeys, func(key int) (err error) {
		switch key {
		case 0:
			return m.text(&r.Name)
		case 1:
			r.Offset, err = m.dec.DecodeUint64()
			return err
		default:
			return readList(m, (*[]Type)(&r.Layout), (*metaReader).typ)
		}
	})
}

func (m *metaReader) typ(t *Type) error {
	return m.object(typeKeys, func(key int) error {
		switch key {
		case 0:
			return m.text(&t.Name)
		case 1:
			return m.text(&t.Kind)
		case 2:
			return m.num(&t.Size)
		case 3:
			return m.index(&t.Elem)
		case 4:
			return m.index(&t.Key)
		case 5:
			return m.num(&t.Len)
		default:
			return readList(m, &t.Fields, (*metaReader).field)
		}
	})
}

func (m *metaReader) field(f *Field) error {
	return m.object(fieldKeys, func(key int) error {
		switch key {
		case 0:
			return m.text(&f.Name)
		case 1:
			return m.num(&f.Offset)
		default:
			return m.index(&f.Type)
		}
	})
}

// object reads a map that has these keys in this order, others between them
// allowed. value reads the value of keys[i].
func (m *metaReader) object(keys []string, value func(i int) error) error {
	n, err := m.dec.DecodeMapLen()
	if err != nil {
		return err
	}
	if n < len(keys) || n > m.rest.Len() {
		return fmt.Errorf("map of %d keys", n)
	}
	next := 0
	for range n {
		var key string
		if err := m.text(&key); err != nil {
			return err
		}
		switch {
		case next < len(keys) && key == keys[next]:
			if err := value(next); err != nil {
				return err
			}
			next++
		case slices.Contains(keys, key):
			return fmt.Errorf("key %q is out of order", key)
		default:
			if err := m.skip(maxSkipDepth); err != nil {
				return err
			}
		}
	}
	if next < len(keys) {
		return fmt.Errorf("key %q is missing", keys[next])
	}
	return nil
}

// readList reads an array. It grows the slice as elements come in.
func readList[T any](m *metaReader, s *[]T, elem func(*metaReader, *T) error) error {
	n, err := m.dec.DecodeArrayLen()
	if err != nil {
		return err
	}
	if n < 0 || n > m.rest.Len() {
		return fmt.Errorf("array of %d elements", n)
	}
	for range n {
		var v T
		if err := elem(m, &v); err != nil {
			return err
		}
		*s = append(*s, v)
	}
	return nil
}

func (m *metaReader) text(s *string) error {
	n, err := m.dec.DecodeBytesLen()
	if err != nil {
		return err
	}
	if n < 0 || n > m.rest.Len() {
		return fmt.Errorf("text of %d bytes", n)
	}
	b := make([]byte, n)
	if err := m.dec.ReadFull(b); err != nil {
		return err
	}
	*s = string(b)
	return nil
}

func (m *metaReader) num(n *int64) (err error) {
	*n, err = m.dec.DecodeInt64()
	return err
}

// index reads a small number: an int also where it has 32 bits.
func (m *metaReader) index(n *int) error {
	v, err := m.dec.DecodeInt64()
	if err == nil && v != int64(int32(v)) {
		err = fmt.Errorf("index %d", v)
	}
	*n = int(v)
	return err
}

// skip passes over one value. Its own recursion, because the library's has no
// bound and a long row of array heads would exhaust the stack.
func (m *metaReader) skip(depth int) error {
	code, err := m.dec.PeekCode()
	if err != nil {
		return err
	}
	var n int
	pairs := 1 // values an element
	switch {
	case code == msgpcode.Nil:
		return m.dec.Skip()
	case msgpcode.IsString(code), msgpcode.IsBin(code):
		var s string
		return m.text(&s)
	case msgpcode.IsExt(code):
		_, n, err = m.dec.DecodeExtHeader()
		if err == nil && (n < 0 || n > m.rest.Len()) {
			err = fmt.Errorf("extension of %d bytes", n)
		}
		if err == nil {
			_, err = m.rest.Seek(int64(n), io.SeekCurrent)
		}
		return err
	case msgpcode.IsFixedMap(code), code == msgpcode.Map16, code == msgpcode.Map32:
		n, err = m.dec.DecodeMapLen()
		pairs = 2
	case msgpcode.IsFixedArray(code), code == msgpcode.Array16, code == msgpcode.Array32:
		n, err = m.dec.DecodeArrayLen()
	default:
		return m.dec.Skip() // a number or a boolean
	}
	if err != nil {
		return err
	}
	if n < 0 || n > m.rest.Len() {
		return fmt.Errorf("%d elements", n)
	}
	if n > 0 && depth == 0 {
		return fmt.Errorf("values nested deeper than %d", maxSkipDepth)
	}
	for range n * pairs {
		if err := m.skip(depth - 1); err != nil {
			return err
		}
	}
	return nil
}
