package cowheap

import (
	"compress/gzip"
	"encoding/binary"
	"io"
	"math"
	"runtime"
	"time"
)

// Numbers of fields in profile.proto, github.com/google/pprof/proto.
const (
	protoSampleType        = 1
	protoSample            = 2
	protoLocation          = 4
	protoFunction          = 5
	protoStringTable       = 6
	protoTimeNanos         = 9
	protoPeriodType        = 11
	protoPeriod            = 12
	protoDefaultSampleType = 14
)

// proto is a message in protocol buffers' encoding, as far as profiles need it.
type proto struct{ b []byte }

func (p *proto) number(field int, v uint64) {
	p.b = binary.AppendUvarint(p.b, uint64(field)<<3)
	p.b = binary.AppendUvarint(p.b, v)
}

func (p *proto) bytes(field int, b []byte) {
	p.b = binary.AppendUvarint(p.b, uint64(field)<<3|2)
	p.b = binary.AppendUvarint(p.b, uint64(len(b)))
	p.b = append(p.b, b...)
}

// numbers is a packed row.
func (p *proto) numbers(field int, row []uint64) {
	var b []byte
	for _, v := range row {
		b = binary.AppendUvarint(b, v)
	}
	p.bytes(field, b)
}

func (p *proto) message(field int, fill func(m *proto)) {
	var m proto
	fill(&m)
	p.bytes(field, m.b)
}

// profileWriter builds a profile.
type profileWriter struct {
	proto
	strings   []string
	indices   map[string]uint64
	functions map[[2]string]uint64 // by name and file
	locations map[location]uint64
}

type location struct {
	function uint64
	line     int
}

// writeProfile writes what profilers know, compressed.
func writeProfile(w io.Writer, profilers []*profiler) error {
	rows := make(map[[32]uintptr]profileRow)
	var restored [2]uint64
	rate := int64(ProfileRate)
	for _, p := range profilers {
		r := p.rows(rows)
		restored[0] += r[0]
		restored[1] += r[1]
		rate = p.rate
	}
	b := profileWriter{indices: map[string]uint64{}, functions: map[[2]string]uint64{}, locations: map[location]uint64{}}
	b.index("") // the first one is
	b.valueType(protoSampleType, "inuse_objects", "count")
	b.valueType(protoSampleType, "inuse_space", "bytes")
	for stack, row := range rows {
		b.sample(userFrames(&stack), uint64(math.Round(row.objects)), uint64(math.Round(row.bytes)))
	}
	if restored[1] > 0 {
		b.sample([]runtime.Frame{{Function: "[restored]"}}, restored[0], restored[1])
	}
	b.number(protoTimeNanos, uint64(time.Now().UnixNano()))
	b.valueType(protoPeriodType, "space", "bytes")
	b.number(protoPeriod, uint64(max(rate, 0)))
	b.number(protoDefaultSampleType, b.index("inuse_space"))
	for _, s := range b.strings {
		b.bytes(protoStringTable, []byte(s))
	}
	z := gzip.NewWriter(w)
	if _, err := z.Write(b.b); err != nil {
		return err
	}
	return z.Close()
}

// index is the place of s in the table of strings.
func (b *profileWriter) index(s string) uint64 {
	i, ok := b.indices[s]
	if !ok {
		i = uint64(len(b.strings))
		b.indices[s] = i
		b.strings = append(b.strings, s)
	}
	return i
}

func (b *profileWriter) valueType(field int, typ, unit string) {
	b.message(field, func(m *proto) {
		m.number(1, b.index(typ))
		m.number(2, b.index(unit))
	})
}

func (b *profileWriter) sample(frames []runtime.Frame, objects, bytes uint64) {
	var ids []uint64
	for _, f := range frames {
		ids = append(ids, b.location(f))
	}
	b.message(protoSample, func(m *proto) {
		m.numbers(1, ids)
		m.numbers(2, []uint64{objects, bytes})
	})
}

// location is the number of a line of a function.
func (b *profileWriter) location(f runtime.Frame) uint64 {
	fn, ok := b.functions[[2]string{f.Function, f.File}]
	if !ok {
		fn = uint64(len(b.functions) + 1)
		b.functions[[2]string{f.Function, f.File}] = fn
		b.message(protoFunction, func(m *proto) {
			m.number(1, fn)
			m.number(2, b.index(f.Function))
			m.number(3, b.index(f.Function))
			m.number(4, b.index(f.File))
		})
	}
	at := location{fn, f.Line}
	id, ok := b.locations[at]
	if !ok {
		id = uint64(len(b.locations) + 1)
		b.locations[at] = id
		b.message(protoLocation, func(m *proto) {
			m.number(1, id)
			m.message(4, func(line *proto) {
				line.number(1, fn)
				line.number(2, uint64(f.Line))
			})
		})
	}
	return id
}
