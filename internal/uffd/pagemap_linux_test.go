package uffd

import (
	"errors"
	"os"
	"slices"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// mustPagemap opens the page map and skips where there is no PAGEMAP_SCAN.
func mustPagemap(t testing.TB) *Pagemap {
	t.Helper()
	if err := HavePagemapScan(); errors.Is(err, ErrNotSupported) {
		t.Skip(err)
	}
	p, err := OpenPagemap()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

// armed gives n bytes that are registered and protected with FeatureWPAsync.
func armed(t testing.TB, n int) (addr uintptr, b []byte) {
	t.Helper()
	f := mustOpen(t, FeatureWPAsync)
	addr, b = mmap(t, n)
	if err := errors.Join(f.Register(addr, uintptr(n), ModeWP), f.Protect(addr, uintptr(n))); err != nil {
		t.Fatal(err)
	}
	return addr, b
}

// pagesOf lists the page numbers, from addr on, that regions hold.
func pagesOf(regions []PageRegion, addr uintptr) (pages []int) {
	for _, r := range regions {
		for a := r.Start; a < r.End; a += page {
			pages = append(pages, int((a-uint64(addr))/page))
		}
	}
	return pages
}

func TestAsyncOpenBringsUnpopulatedAlong(t *testing.T) {
	f := mustOpen(t, FeatureWPAsync)
	if want := FeatureWPAsync | FeatureWPUnpopulated; f.Features() != want {
		t.Errorf("Features() = %v, want %v", f.Features(), want)
	}
}

func TestScanFindsWrittenPages(t *testing.T) {
	p := mustPagemap(t)
	addr, b := armed(t, 64*page)
	if got, err := p.Scan(nil, addr, 64*page, 0); err != nil || len(got) != 0 {
		t.Fatalf("freshly armed: %v, %v", got, err)
	}
	dirty := []int{0, 5, 6, 7, 40, 63}
	for _, i := range dirty {
		b[i*page] = 1
	}
	for _, mode := range []ScanMode{0, ScanCheck, ScanProtect} {
		got, err := p.Scan(nil, addr, 64*page, mode)
		if err != nil || !slices.Equal(pagesOf(got, addr), dirty) {
			t.Errorf("mode %d: %v, %v, want %v", mode, pagesOf(got, addr), err, dirty)
		}
		if len(got) != 4 {
			t.Errorf("mode %d: %d regions, want neighbours joined into 4", mode, len(got))
		}
	}
	if got, err := p.Scan(nil, addr, 64*page, 0); err != nil || len(got) != 0 {
		t.Errorf("after ScanProtect: %v, %v", got, err)
	}
	b[9*page] = 1
	prefix := []PageRegion{{1, 2, 3}}
	got, err := p.Scan(prefix, addr, 64*page, 0)
	if err != nil || got[0] != prefix[0] || !slices.Equal(pagesOf(got[1:], addr), []int{9}) {
		t.Errorf("appended to a prefix: %v, %v", got, err)
	}
}

// More regions than one request returns, and one region that spans requests.
func TestScanGoesOnWhereTheKernelStops(t *testing.T) {
	const pages = 4096
	p := mustPagemap(t)
	addr, b := armed(t, pages*page)
	var want []int
	for i := 0; i < pages; i += 2 {
		b[i*page] = 1
		want = append(want, i)
	}
	got, err := p.Scan(nil, addr, pages*page, ScanProtect)
	if err != nil || !slices.Equal(pagesOf(got, addr), want) {
		t.Errorf("%d pages, %v, want %d", len(pagesOf(got, addr)), err, len(want))
	}
	if n, err := p.CountProtected(addr, pages*page); n != pages || err != nil {
		t.Errorf("%d of %d protected again, %v", n, pages, err)
	}
	for i := range pages {
		b[i*page] = 2
	}
	got, err = p.Scan(nil, addr, pages*page, ScanProtect)
	if err != nil || len(got) != 1 || got[0].End-got[0].Start != pages*page {
		t.Errorf("everything written: %d regions, %v, want one", len(got), err)
	}
}

// Every write made while a scan protects must be in that scan or in a later one.
func TestScanLosesNoWrite(t *testing.T) {
	const pages, rounds = 256, 300
	p := mustPagemap(t)
	addr, b := armed(t, pages*page)
	var stop = make(chan struct{})
	var wg sync.WaitGroup
	written := make([]int, pages)
	wg.Go(func() {
		for i := 0; ; i = (i*5 + 1) % pages {
			select {
			case <-stop:
				return
			default:
			}
			b[i*page]++
			written[i]++
		}
	})
	copyOf := make([]byte, pages)
	var regions []PageRegion
	collect := func() {
		var err error
		if regions, err = p.Scan(regions[:0], addr, pages*page, ScanProtect); err != nil {
			t.Error(err)
		}
		for _, i := range pagesOf(regions, addr) {
			copyOf[i] = b[i*page]
		}
	}
	for range rounds {
		collect()
	}
	close(stop)
	wg.Wait()
	collect()
	for i := range pages {
		if copyOf[i] != byte(written[i]) {
			t.Errorf("page %d: the copy has %d, written were %d", i, copyOf[i], byte(written[i]))
		}
	}
}

func TestScanErrors(t *testing.T) {
	p := mustPagemap(t)
	addr, _ := mmap(t, 4*page)
	if _, err := p.Scan(nil, addr, 4*page, ScanProtect); !errors.Is(err, unix.EPERM) {
		t.Errorf("memory that is not armed: %v, want EPERM", err)
	}
	if _, err := p.Scan(nil, addr+1, 4*page, 0); !errors.Is(err, unix.EINVAL) {
		t.Errorf("unaligned: %v, want EINVAL", err)
	}
	if got, err := p.Scan(nil, addr, 0, 0); len(got) != 0 || err != nil {
		t.Errorf("empty range: %v, %v", got, err)
	}
	p.Close()
	if _, err := p.Scan(nil, addr, page, 0); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after Close: %v, want os.ErrClosed", err)
	}
}

func TestCountProtected(t *testing.T) {
	p := mustPagemap(t)
	f := mustOpen(t, wpFeatures)
	const pages = 10000 // more than one read
	addr, b := mmap(t, pages*page)
	b[0], b[page] = 1, 1
	if n, err := p.CountProtected(addr, pages*page); n != 0 || err != nil {
		t.Errorf("before: %d, %v", n, err)
	}
	if err := errors.Join(f.Register(addr, pages*page, ModeWP), f.Protect(addr, pages*page)); err != nil {
		t.Fatal(err)
	}
	if n, err := p.CountProtected(addr, pages*page); n != pages || err != nil {
		t.Errorf("protected: %d, %v, want %d", n, err, pages)
	}
	if err := f.Unprotect(addr+5*page, 2*page); err != nil {
		t.Fatal(err)
	}
	if n, err := p.CountProtected(addr, pages*page); n != pages-2 || err != nil {
		t.Errorf("two lifted: %d, %v, want %d", n, err, pages-2)
	}
}
