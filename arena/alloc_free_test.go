package arena

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

func TestFreeOfWhatIsNotAllocated(t *testing.T) {
	ta := newTestAllocator(t, 1<<30)
	small := mustAlloc(t, ta, 48, 0)
	tiny := mustAlloc(t, ta, 16, 0)
	odd := mustAlloc(t, ta, 1100, 0) // spans of this class have bytes left over
	large := mustAlloc(t, ta, 100<<10, 0)
	huge := mustAlloc(t, ta, 20<<20, 0)
	freed := mustAlloc(t, ta, 48, 0)
	freedLarge := mustAlloc(t, ta, 100<<10, 0)
	freedHuge := mustAlloc(t, ta, 20<<20, 0)
	for _, off := range []uint64{freed, freedLarge, freedHuge} {
		if err := ta.free(off); err != nil {
			t.Fatal(err)
		}
	}
	oddInfo, _ := ta.spanInfo(ta.load32(ta.pageEntry(odd>>runPageShift)) & entryValue)
	oddShape := oddInfo.shape()
	leftOver := oddInfo.start() + uint64(oddShape.objects)*uint64(oddShape.size)

	for _, c := range []struct {
		name string
		off  uint64
		want FreeReason
	}{
		{"nil", 0, FreeNil},
		{"header", 8, FreeMetadata},
		{"page map", ta.pageEntry(0), FreeMetadata},
		{"page map, inside", ta.pageEntry(5), FreeMetadata},
		{"page bits", ta.pageBits(0), FreeMetadata},
		{"free runs", ta.tablePage(tableFreeRuns, 0), FreeMetadata},
		{"descriptors", ta.tablePage(tableDescs, 0), FreeMetadata},
		{"index", ta.tablePage(tableIndex, 0), FreeMetadata},
		{"page map that was added", ta.tablePage(tablePageMap, 5), FreeMetadata},
		{"object, one byte in", small + 1, FreeInterior},
		{"object, 16 bytes in", small + 16, FreeInterior},
		{"object, last byte", small + 47, FreeInterior},
		{"next object, never allocated", tiny + 16, FreeNotAllocated},
		{"object of the span's fourth descriptor", tiny + 200*16, FreeNotAllocated},
		{"freed object", freed, FreeNotAllocated},
		{"left over at the end of a span", leftOver, FreeInterior},
		{"run, one byte in", large + 1, FreeInterior},
		{"run, one page in", large + runPageSize, FreeInterior},
		{"run, last byte", large + 25*runPageSize - 1, FreeInterior},
		{"huge run, one page in", huge + runPageSize, FreeInterior},
		{"huge run, one chunk in", huge + chunkPages*runPageSize, FreeInterior},
		{"huge run, last page", huge + 20<<20 - runPageSize, FreeInterior},
		{"freed run", freedLarge, FreeNotAllocated},
		{"freed run, inside", freedLarge + 17, FreeInterior},
		{"freed huge run", freedHuge, FreeNotAllocated},
		{"freed huge run, inside", freedHuge + 8<<20, FreeNotAllocated},
		{"beyond the top", ta.top.Load() << runPageShift, FreeBeyond},
		{"beyond high", ta.high() + 100<<20, FreeBeyond},
		{"beyond the limit", 2 << 30, FreeBeyond},
		{"far beyond", ^uint64(0), FreeBeyond},
		{"negative", ^uint64(0) - 47, FreeBeyond},
	} {
		t.Run(c.name, func(t *testing.T) {
			before := bytes.Clone(ta.mapping.Bytes(0, ta.high()))
			for _, op := range []struct {
				name string
				err  error
			}{
				{"free", ta.free(c.off)},
				{"sizeOf", func() error { _, err := ta.sizeOf(c.off); return err }()},
			} {
				err, ok := errors.AsType[*FreeError](op.err)
				if !ok || err.Off != c.off || err.Reason != c.want {
					t.Errorf("%s(%#x) = %v, want that it %v", op.name, c.off, op.err, c.want)
				} else if !strings.Contains(err.Error(), c.want.String()) {
					t.Errorf("the message does not say why: %v", err)
				}
			}
			if !bytes.Equal(before, ta.mapping.Bytes(0, ta.high())) {
				t.Error("the arena has changed")
			}
		})
	}
	wantClean(t, ta)
	for _, off := range []uint64{small, tiny, odd, large, huge} {
		if err := ta.free(off); err != nil {
			t.Errorf("free(%#x), which is allocated: %v", off, err)
		}
	}
}

func TestAlignmentThatCannotBe(t *testing.T) {
	ta := newTestAllocator(t, 1<<20)
	for _, align := range []uint64{3, 24, 4097, 8192, 1 << 40, ^uint64(0)} {
		for _, size := range []uint64{0, 64, 1 << 18} {
			_, err := ta.alloc(size, align)
			if e, ok := errors.AsType[*AlignError](err); !ok || e.Align != align {
				t.Errorf("alloc(%d, %d): %v", size, align, err)
			}
		}
	}
	wantClean(t, ta)
}

func TestSizeOf(t *testing.T) {
	ta := newTestAllocator(t, 1<<30)
	for _, c := range []struct{ size, want uint64 }{
		{0, 16}, {1, 16}, {16, 16}, {17, 32}, {128, 128}, {129, 144}, {1000, 1024}, {1025, 1152},
		{32 << 10, 32 << 10}, {32<<10 + 1, 36 << 10}, {5<<20 + 1, 5<<20 + 4096},
	} {
		got, err := ta.sizeOf(mustAlloc(t, ta, c.size, 0))
		if err != nil || got != c.want {
			t.Errorf("sizeOf(alloc(%d)) = %d, %v; want %d", c.size, got, err, c.want)
		}
	}
}
