package checkpoint

import (
	"bytes"
	"encoding/binary"
	"math"

	"github.com/cowheap/cowheap/internal/block"
)

// hostileFile is a file of testdata/hostile, whose name says what is wrong with it. All
// checksums of those that hostile makes are right: what the checksums cannot refuse, the
// checks behind them must.
type hostileFile struct {
	want   string                // what OpenImage and Verify say of it, see kinds
	make   func(t tester) []byte // the file, for -update
	parent func(t tester) []byte // that stands beside it; nil: the one that it means
	opens  bool                  // opening does not notice yet, Verify does
	alone  bool                  // there is nothing wrong with it by itself, so a stream of it is read
}

// Parts of these files; see changed.
const (
	oneBlock   = headerUnit              // of the file with two blocks of a page each
	twoBlock   = headerUnit + 2*pageSize // the second
	blocksEnd  = headerUnit + 4*pageSize
	corpusSize = 2*regionSize + 3*pageSize
	packedSize = 64 * pageSize
)

// twoPages is the state of most of these files: three regions, the second one empty, the
// last one short.
func twoPages() memory { return textArena(corpusSize, 1, 1025) }

// changed is a good file of three regions, with two blocks or none, of which change changes
// something before all checksums are made right.
func changed(blocks int, change func(b []byte)) func(t tester) []byte {
	return func(t tester) []byte {
		m := twoPages()
		if blocks == 0 {
			clear(m)
		}
		b := bytes.Clone(encode(t, m, testOptions()))
		change(b)
		reseal(b)
		return b
	}
}

// changedChild is the same of an increment that has one zero page.
func changedChild(change func(b []byte)) func(t tester) []byte {
	return func(t tester) []byte {
		b := childOf(t, testParent)
		change(b)
		reseal(b)
		return b
	}
}

// childOf is an increment to a checkpoint of twoPages.
func childOf(t tester, parent [16]byte) []byte {
	opts := testOptions()
	opts.Parent, opts.ParentSize, opts.Changed = parent, corpusSize, ranges(1)
	return bytes.Clone(encode(t, textArena(corpusSize, 1025), opts))
}

// parentOf is the full checkpoint that childOf means.
func parentOf(t tester, m memory, change func(o *WriteOptions)) []byte {
	opts := testOptions()
	opts.ID, opts.Parent = testParent, [16]byte{}
	if change != nil {
		change(&opts)
	}
	return encode(t, m, opts)
}

// forged puts an ending on content that agrees with itself.
func forged(content func(good []byte) []byte, blocks, pages int64, entries ...uint64) func(t tester) []byte {
	return func(t tester) []byte {
		good := encode(t, twoPages(), testOptions())
		b := content(good)
		end := ending{
			id:        testID,
			headerCRC: binary.LittleEndian.Uint32(good[hCRC:]),
			size:      corpusSize,
			offset:    int64(len(b)),
			blocks:    blocks,
			pages:     pages,
		}
		return join(b, end.encode(entries))
	}
}

func contentOf(good []byte) []byte { return good[:blocksEnd] }

// packedPages is the state of the compressed ones: a region with 40 pages, in two pieces.
func packedPages() memory {
	var pages []int
	for p := range 50 {
		if p%5 != 4 { // those do not compress
			pages = append(pages, p)
		}
	}
	return textArena(packedSize, pages...)
}

// compressed is a file of one block whose pieces change changes.
func compressed(c Compression, change func(h block.Header, stored []byte) []byte) func(t tester) []byte {
	return func(t tester) []byte {
		return forgeBlock(t, packedPages(), WriteOptions{ID: testID, Time: testTime, Compression: c}, change)
	}
}

// piece puts n bytes of text, compressed, in the place of the first piece.
func piece(c Compression, n int) func(h block.Header, stored []byte) []byte {
	out, _ := c.compress(make([]byte, 0, 4<<20), bytes.Repeat([]byte("bomb"), n/4))
	return pieceOf(bytes.Clone(out))
}

func pieceOf(b []byte) func(h block.Header, stored []byte) []byte {
	return func(h block.Header, stored []byte) []byte {
		second := stored[h.Piece(0).Size:]
		h.SetPiece(0, b)
		return append(bytes.Clone(b), second...)
	}
}

func put32(off int, v uint32) func(b []byte) {
	return func(b []byte) { binary.LittleEndian.PutUint32(b[off:], v) }
}

func put64(off int, v uint64) func(b []byte) {
	return func(b []byte) { binary.LittleEndian.PutUint64(b[off:], v) }
}

func add(off int, v byte) func(b []byte) { return func(b []byte) { b[off] += v } }

func text(off int, s string) func(b []byte) { return func(b []byte) { copy(b[off:], s) } }

func swapped(a, b, n int) func([]byte) {
	return func(file []byte) { swap(file[a:][:n], file[b:][:n]) }
}

// Index and trailer of a file without blocks, and of one with two.
const (
	noIndex    = headerUnit + xEntries
	index2     = blocksEnd
	entries2   = blocksEnd + xEntries
	noTrailer  = 2*headerUnit - trailerSize
	trailer2   = blocksEnd + headerUnit - trailerSize
	nextRegion = 8 // bytes of an entry
)

// hostileFiles are all of testdata/hostile, by name.
var hostileFiles = map[string]hostileFile{
	"size-not-whole-pages":    {want: "format", make: changed(0, add(hSize, 1))},
	"size-two-pages-less":     {want: "format", make: changed(2, put64(hSize, corpusSize-2*pageSize)), opens: true},
	"size-a-region-less":      {want: "format", make: changed(0, put64(hSize, corpusSize-regionSize))},
	"size-a-region-more":      {want: "format", make: changed(0, put64(hSize, corpusSize+regionSize))},
	"size-nothing":            {want: "format", make: changed(0, put64(hSize, 0))},
	"size-the-largest":        {want: "truncated", make: changed(0, put64(hSize, uint64(MaxSize)))},
	"size-beyond-the-largest": {want: "format", make: changed(0, put64(hSize, uint64(MaxSize)+pageSize))},
	"size-negative":           {want: "format", make: changed(0, put64(hSize, math.MaxUint64-4095))},

	"metadata-longer":             {want: "format", make: changed(0, add(hMetaLen, 1))},
	"metadata-shorter":            {want: "format", make: changed(0, add(hMetaLen, 255))},
	"metadata-huge":               {want: "format", make: changed(0, put32(hMetaLen, math.MaxUint32))},
	"metadata-none":               {want: "format", make: changed(0, put32(hMetaLen, 0))},
	"metadata-nonsense":           {want: "format", make: changed(0, text(hMetadata, "\xc1"))},
	"metadata-text-of-4-gib":      {want: "format", make: changed(0, text(hMetadata, "\x81\xdb\xff\xff\xff\xff"))},
	"metadata-array-of-4-g":       {want: "format", make: changed(0, text(hMetadata, "\x81\xa5roots\xdd\xff\xff\xff\xff"))},
	"metadata-extension-of-4-gib": {want: "format", make: changed(0, text(hMetadata, "\x82\xa1x\xc9\xff\xff\xff\xff\x05"))},
	"metadata-nested-deep": {want: "format", make: changed(0, func(b []byte) {
		copy(b[hMetadata:], "\x82\xa1x")
		copy(b[hMetadata+3:hMetadata+90], bytes.Repeat([]byte{0x91}, 87))
	})},
	"header-padding":               {want: "format", make: changed(0, add(headerUnit-1, 1))},
	"header-reserved":              {want: "format", make: changed(0, add(hReserved, 1))},
	"header-of-two-units":          {want: "format", make: changed(0, put32(hLength, 2*headerUnit))},
	"header-of-16-mib":             {want: "truncated", make: func(t tester) []byte { return changed(0, put32(hLength, maxHeader))(t)[:headerUnit] }},
	"header-of-4-gib":              {want: "format", make: changed(0, put32(hLength, math.MaxUint32))},
	"header-of-another-checkpoint": {want: "format", make: changed(0, add(hID, 1))},
	"version-of-the-future":        {want: "version", make: changed(0, put32(hVersion, 99))},
	"version-zero":                 {want: "version", make: changed(0, put32(hVersion, 0))},
	"feature-of-the-future":        {want: "version", make: changed(0, put32(hFlags, 1<<31))},
	"pages-of-16-kib":              {want: "pagesize", make: changed(0, put32(hPageSize, 16384))},
	"magic-after-a-text-transfer":  {want: "format", make: changed(0, text(hMagic, "\x89CWH\n\x1a\n\x00"))},

	"block-of-the-next-region":    {want: "format", make: changed(2, add(oneBlock+block.RegionOff, 1)), opens: true},
	"block-outside":               {want: "format", make: changed(2, add(twoBlock+block.RegionOff, 1)), opens: true},
	"block-far-outside":           {want: "format", make: changed(2, put32(twoBlock+block.RegionOff, math.MaxUint32)), opens: true},
	"block-out-of-order":          {want: "format", make: changed(2, put32(twoBlock+block.RegionOff, 0)), opens: true},
	"block-of-another-checkpoint": {want: "format", make: changed(2, add(twoBlock+block.IDOff, 1)), opens: true},
	"block-reserved":              {want: "format", make: changed(2, add(twoBlock+block.ReservedOff, 1)), opens: true},
	"block-with-a-page-outside":   {want: "format", make: changed(2, put32(twoBlock+block.BitmapOff, 8)), opens: true},
	"block-with-a-page-more":      {want: "format", make: changed(2, add(twoBlock+block.BitmapOff, 4)), opens: true},
	"block-with-a-page-that-is-not-there": {want: "format", make: changed(2, func(b []byte) {
		b[twoBlock+block.BitmapOff] |= 4
		b[twoBlock+block.CountOff]++
	}), opens: true},
	"block-count":             {want: "format", make: changed(2, add(twoBlock+block.CountOff, 1)), opens: true},
	"block-count-huge":        {want: "format", make: changed(2, put32(twoBlock+block.CountOff, math.MaxUint32)), opens: true},
	"block-zero-in-full":      {want: "format", make: compressed(S2, func(h block.Header, stored []byte) []byte { h.SetZero(38); return stored }), opens: true},
	"blocks-without-an-index": {want: "truncated", make: changed(2, func(b []byte) { copy(b[index2:], b[twoBlock:][:headerUnit]) })},

	"index-reserved":                {want: "format", make: changed(0, add(headerUnit+xReserved, 1))},
	"index-of-another-checkpoint":   {want: "format", make: changed(0, add(headerUnit+xID, 1))},
	"index-length":                  {want: "format", make: changed(0, add(headerUnit+xRegions, 1))},
	"index-length-huge":             {want: "format", make: changed(0, put64(headerUnit+xRegions, math.MaxUint64))},
	"index-padding":                 {want: "format", make: changed(0, add(noTrailer-1, 1))},
	"entry-off-a-byte":              {want: "format", make: changed(2, add(entries2, 1))},
	"entry-off-a-page":              {want: "format", make: changed(2, add(entries2+1, 0x10))},
	"entry-beyond":                  {want: "format", make: changed(2, add(entries2+2*nextRegion+7, 0x80))},
	"entry-in-the-index":            {want: "format", make: changed(2, put64(entries2+2*nextRegion, index2))},
	"entry-in-the-header":           {want: "format", make: changed(2, put64(entries2, 8))},
	"entry-missing":                 {want: "format", make: changed(2, put64(entries2+2*nextRegion, 0))},
	"entry-too-many":                {want: "format", make: changed(2, put64(entries2+nextRegion, oneBlock))},
	"entry-of-no-block":             {want: "format", make: changed(0, put64(noIndex, headerUnit))},
	"entry-one-region-later":        {want: "format", make: changed(2, swapped(entries2, entries2+nextRegion, 8)), opens: true},
	"entries-exchanged":             {want: "format", make: changed(2, swapped(entries2, entries2+2*nextRegion, 8))},
	"entries-all-missing":           {want: "format", make: changed(2, func(b []byte) { clear(b[entries2:][:24]) })},
	"trailer-reserved":              {want: "format", make: changed(0, add(noTrailer+tReserved, 1))},
	"trailer-end":                   {want: "format", make: changed(0, add(noTrailer+trailerSize-1, 1))},
	"trailer-index-offset":          {want: "format", make: changed(0, add(noTrailer+tIndexOff+1, 0x10))},
	"trailer-index-length":          {want: "format", make: changed(0, add(noTrailer+tIndexLen, 1))},
	"trailer-blocks":                {want: "format", make: changed(2, add(trailer2+tBlocks, 1))},
	"trailer-pages":                 {want: "format", make: changed(2, add(trailer2+tPages, 255))},
	"trailer-length":                {want: "format", make: changed(0, add(noTrailer+tLength+7, 255))},
	"trailer-of-another-checkpoint": {want: "format", make: changed(0, add(noTrailer+tID, 1))},

	"gap-after-the-header": {want: "format", make: forged(func(good []byte) []byte {
		return join(good[:headerUnit], make([]byte, pageSize), good[headerUnit:blocksEnd])
	}, 2, 2, oneBlock+pageSize, 0, twoBlock+pageSize)},
	"gap-between-blocks": {want: "format", make: forged(func(good []byte) []byte {
		return join(good[:twoBlock], make([]byte, pageSize), good[twoBlock:blocksEnd])
	}, 2, 3, oneBlock, 0, twoBlock+pageSize), opens: true}, // that it is no page only its block knows
	"pages-more-than-a-region-has": {want: "format", make: forged(func(good []byte) []byte {
		return join(good[:blocksEnd], make([]byte, 3*pageSize))
	}, 2, 5, oneBlock, 0, twoBlock)},
	"block-without-pages":      {want: "format", make: forged(contentOf, 2, 2, oneBlock, 0, blocksEnd-pageSize)},
	"block-off-a-byte":         {want: "format", make: forged(contentOf, 2, 2, oneBlock, 0, twoBlock+1)},
	"block-a-byte-early":       {want: "format", make: forged(contentOf, 2, 2, oneBlock, 0, twoBlock-1)},
	"block-in-the-header":      {want: "format", make: forged(contentOf, 2, 2, 0, 8, twoBlock)},
	"block-behind-the-index":   {want: "format", make: forged(contentOf, 2, 2, oneBlock, 0, blocksEnd+pageSize)},
	"block-beyond-all-numbers": {want: "format", make: forged(contentOf, 2, 2, oneBlock, 0, 1<<64-pageSize)},
	"blocks-none-but-bytes":    {want: "format", make: forged(contentOf, 0, 0, 0, 0, 0)},
	"blocks-in-reverse":        {want: "format", make: forged(contentOf, 2, 2, twoBlock, 0, oneBlock)},
	"block-of-two-regions":     {want: "format", make: forged(contentOf, 2, 2, oneBlock, twoBlock, twoBlock)},

	"s2-bomb-of-2-mib":       {want: "format", make: compressed(S2, piece(S2, 2<<20)), opens: true},
	"s2-a-page-too-many":     {want: "format", make: compressed(S2, piece(S2, 33*pageSize)), opens: true},
	"s2-a-page-too-few":      {want: "format", make: compressed(S2, piece(S2, 31*pageSize)), opens: true},
	"s2-nothing":             {want: "format", make: compressed(S2, piece(S2, 0)), opens: true},
	"s2-garbage":             {want: "format", make: compressed(S2, pieceOf([]byte("garbage that nobody compressed"))), opens: true},
	"s2-another-page":        {want: "checksum", make: compressed(S2, piece(S2, 32*pageSize)), opens: true},
	"s2-said-to-be-zstd":     {want: "format", make: compressed(S2, func(h block.Header, stored []byte) []byte { h.SetCodec(block.Zstd); return stored }), opens: true},
	"s2-padding":             {want: "format", make: compressed(S2, func(h block.Header, stored []byte) []byte { return append(stored, 1) }), opens: true},
	"s2-zero-beyond-the-end": {want: "format", make: compressed(S2, func(h block.Header, stored []byte) []byte { h.SetZero(511); return stored }), opens: true},
	"s2-without-the-feature": {want: "format", make: func(t tester) []byte {
		b := compressed(S2, func(h block.Header, stored []byte) []byte { return stored })(t)
		b[hFlags] = 0
		reseal(b)
		return b
	}},
	"zstd-bomb-of-2-mib":   {want: "format", make: compressed(Zstd, piece(Zstd, 2<<20)), opens: true},
	"zstd-a-page-too-many": {want: "format", make: compressed(Zstd, piece(Zstd, 33*pageSize)), opens: true},
	"zstd-a-page-too-few":  {want: "format", make: compressed(Zstd, piece(Zstd, 31*pageSize)), opens: true},
	"zstd-nothing":         {want: "format", make: compressed(Zstd, piece(Zstd, 0)), opens: true},
	"zstd-garbage":         {want: "format", make: compressed(Zstd, pieceOf([]byte("garbage that nobody compressed"))), opens: true},
	"zstd-said-to-be-s2":   {want: "format", make: compressed(Zstd, func(h block.Header, stored []byte) []byte { h.SetCodec(block.S2); return stored }), opens: true},

	"parent-none":              {want: "format", make: changedChild(func(b []byte) { clear(b[hParent : hParent+16]) })},
	"parent-itself":            {want: "format", make: changedChild(func(b []byte) { copy(b[hParent:], testID[:]) })},
	"parent-of-half-a-page":    {want: "format", make: changedChild(add(hParentLen, 7))},
	"parent-too-large":         {want: "format", make: changedChild(add(hParentLen+7, 0x7f))},
	"parent-of-negative-size":  {want: "format", make: changedChild(add(hParentLen+7, 0x80))},
	"parent-size-in-full":      {want: "format", make: changedChild(put32(hFlags, 0))},
	"parent-of-another-size":   {want: "parent", make: changedChild(put64(hParentLen, corpusSize+pageSize)), alone: true},
	"parent-that-is-not-there": {want: "parent", make: changedChild(add(hParent, 1)), alone: true},
	"parent-comes-back-to-it": {want: "parent", make: changedChild(func([]byte) {}), alone: true,
		parent: func(t tester) []byte {
			return parentOf(t, twoPages(), func(o *WriteOptions) { o.Parent, o.ParentSize, o.Changed = testID, corpusSize, ranges(1) })
		}},
	"parent-is-another-checkpoint": {want: "parent", make: changedChild(func([]byte) {}), alone: true,
		parent: func(t tester) []byte { return parentOf(t, twoPages(), func(o *WriteOptions) { o.ID[0] ^= 0x80 }) }},
	"parent-is-an-orphan": {want: "parent", make: changedChild(func([]byte) {}), alone: true,
		parent: func(t tester) []byte {
			return parentOf(t, twoPages(), func(o *WriteOptions) { o.Parent, o.ParentSize, o.Changed = numberedID(77), corpusSize, ranges(1) })
		}},
	"parent-is-no-checkpoint": {want: "parent", make: changedChild(func([]byte) {}), alone: true,
		parent: func(tester) []byte { return bytes.Repeat([]byte("all work and no play\n"), 200) }},
	"parent-is-cut": {want: "parent", make: changedChild(func([]byte) {}), alone: true,
		parent: func(t tester) []byte { return parentOf(t, twoPages(), nil)[:2*headerUnit] }},

	"nothing":               {want: "truncated", make: func(tester) []byte { return nil }},
	"magic-alone":           {want: "truncated", make: func(tester) []byte { return []byte(headerMagic) }},
	"text":                  {want: "format", make: func(tester) []byte { return bytes.Repeat([]byte("all work and no play\n"), 200) }},
	"zeros":                 {want: "format", make: func(tester) []byte { return make([]byte, 2*headerUnit) }},
	"cut-after-the-header":  {want: "truncated", make: func(t tester) []byte { return changed(0, func([]byte) {})(t)[:headerUnit] }},
	"cut-in-the-trailer":    {want: "truncated", make: func(t tester) []byte { return changed(0, func([]byte) {})(t)[:2*headerUnit-1] }},
	"cut-a-page":            {want: "truncated", make: func(t tester) []byte { b := changed(2, func([]byte) {})(t); return b[:len(b)-pageSize] }},
	"flipped-in-the-header": {want: "checksum", make: func(t tester) []byte { b := changed(0, func([]byte) {})(t); b[hTime] ^= 1; return b }},
	"flipped-in-a-page":     {want: "checksum", make: func(t tester) []byte { b := changed(2, func([]byte) {})(t); b[twoBlock+pageSize+9] ^= 1; return b }, opens: true},
	"flipped-in-the-index":  {want: "checksum", make: func(t tester) []byte { b := changed(0, func([]byte) {})(t); b[noIndex] ^= 1; return b }},
}
