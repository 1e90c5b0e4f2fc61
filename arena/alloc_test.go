package arena

import "testing"

func TestSmoke(t *testing.T) {
	ta := newTestAllocator(t, 1<<30)
	wantClean(t, ta)
	var offs []uint64
	for i := range 20000 {
		offs = append(offs, mustAlloc(t, ta, uint64(i*7919%70000), 0))
	}
	wantClean(t, ta)
	for i, o := range offs {
		if err := ta.free(o); err != nil {
			t.Fatal(i, err)
		}
	}
	wantClean(t, ta)
	t.Log(ta.high(), ta.top, ta.descPages)
}

func BenchmarkAllocFree64(b *testing.B) {
	ta := newTestAllocator(b, 1<<30)
	b.ReportAllocs()
	for b.Loop() {
		off, _ := ta.alloc(64, 0)
		_ = ta.free(off)
	}
}
