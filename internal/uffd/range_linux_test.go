package uffd

import (
	"bytes"
	"errors"
	"testing"

	"golang.org/x/sys/unix"
)

const wpFeatures = FeatureWriteProtect | FeatureSIGBUS | FeatureWPUnpopulated

func TestProtectStopsWritesAndUnprotectLetsThemThrough(t *testing.T) {
	f := mustOpen(t, wpFeatures)
	addr, b := mmap(t, 8*page)
	b[0], b[2*page] = 1, 1
	if err := f.Register(addr, 8*page, ModeWP); err != nil {
		t.Fatal(err)
	}
	if err := f.Protect(addr, 4*page); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		want := error(nil)
		if i < 4 { // touched before or never
			want = unix.EFAULT
		}
		if err := kernelWrites(t, b[i*page:]); !errors.Is(err, want) {
			t.Errorf("page %d: %v, want %v", i, err, want)
		}
	}
	if err := f.Unprotect(addr+page, 2*page); err != nil {
		t.Fatal(err)
	}
	for i, want := range []error{unix.EFAULT, nil, nil, unix.EFAULT} {
		if err := kernelWrites(t, b[i*page:]); !errors.Is(err, want) {
			t.Errorf("page %d after lifting pages 1 and 2: %v, want %v", i, err, want)
		}
	}
	if err := f.Unregister(addr, 8*page); err != nil {
		t.Fatal(err)
	}
	if err := kernelWrites(t, b); err != nil {
		t.Errorf("after Unregister: %v", err)
	}
}

func TestCloseDropsProtection(t *testing.T) {
	f := mustOpen(t, wpFeatures)
	addr, b := mmap(t, page)
	if err := errors.Join(f.Register(addr, page, ModeWP), f.Protect(addr, page)); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if err := kernelWrites(t, b); err != nil {
		t.Error(err)
	}
}

func TestCopyFillsMissingPages(t *testing.T) {
	f := mustOpen(t, wpFeatures)
	addr, b := mmap(t, 4*page)
	src, s := mmap(t, 4*page)
	for i := range s {
		s[i] = byte(i/page + 1)
	}
	if err := f.Register(addr, 4*page, ModeMissing|ModeWP); err != nil {
		t.Fatal(err)
	}
	if n, err := f.Copy(addr, src, 2*page, 0); n != 2*page || err != nil {
		t.Fatalf("Copy = %d, %v", n, err)
	}
	if n, err := f.Copy(addr+2*page, src+2*page, 2*page, CopyWP); n != 2*page || err != nil {
		t.Fatalf("Copy = %d, %v", n, err)
	}
	if !bytes.Equal(b, s) {
		t.Error("content differs")
	}
	for i, want := range []error{nil, nil, unix.EFAULT, unix.EFAULT} {
		if err := kernelWrites(t, b[i*page:]); !errors.Is(err, want) {
			t.Errorf("write to page %d: %v, want %v", i, err, want)
		}
	}
}

func TestCopyStopsAtAPageThatIsThere(t *testing.T) {
	f := mustOpen(t, wpFeatures)
	addr, b := mmap(t, 4*page)
	src, s := mmap(t, 4*page)
	for i := range s {
		s[i] = 7
	}
	b[2*page] = 9
	if err := f.Register(addr, 4*page, ModeMissing); err != nil {
		t.Fatal(err)
	}
	n, err := f.Copy(addr, src, 4*page, 0)
	if n != 2*page || !errors.Is(err, unix.EEXIST) {
		t.Errorf("Copy = %d, %v, want %d, EEXIST", n, err, 2*page)
	}
	if e, ok := errors.AsType[*OpError](err); !ok || e.Addr != addr+2*page || e.Len != 2*page {
		t.Errorf("%v does not name the page that was refused, %#x", err, addr+2*page)
	}
	if b[page] != 7 || b[2*page] != 9 {
		t.Errorf("bytes %d, %d, want 7, 9", b[page], b[2*page])
	}
}

func TestRefusals(t *testing.T) {
	f := mustOpen(t, wpFeatures)
	addr, _ := mmap(t, 4*page)
	other, b := mmap(t, page)
	b[0] = 1
	if err := f.Register(addr, 2*page, ModeMissing|ModeWP); err != nil {
		t.Fatal(err)
	}
	g := mustOpen(t, wpFeatures)
	_, copyOutside := f.Copy(other, addr, page, 0)
	_, copyUnaligned := f.Copy(addr+1, other, page, 0)
	_, copyNowhere := f.Copy(addr, 0, page, 0)
	for _, tt := range []struct {
		name string
		err  error
		want unix.Errno
	}{
		{"protect outside", f.Protect(other, page), unix.ENOENT},
		{"protect unaligned", f.Protect(addr+1, page), unix.EINVAL},
		{"protect nothing", f.Protect(addr, 0), unix.EINVAL},
		{"register elsewhere too", g.Register(addr, page, ModeWP), unix.EBUSY},
		{"register no mapping", f.Register(1<<20, page, ModeWP), unix.EINVAL},
		{"copy outside", copyOutside, unix.ENOENT},
		{"copy unaligned", copyUnaligned, unix.EINVAL},
		{"copy from nowhere", copyNowhere, unix.EFAULT},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, tt.err, tt.want)
		}
	}
}

func TestPoisonedPageStaysBroken(t *testing.T) {
	f := mustOpen(t, wpFeatures|FeaturePoison)
	addr, b := mmap(t, 3*page)
	if err := f.Register(addr, 3*page, ModeMissing|ModeWP); err != nil {
		t.Fatal(err)
	}
	if err := f.Poison(addr+page, page); err != nil {
		t.Fatal(err)
	}
	if err := f.Unprotect(addr+page, page); err != nil {
		t.Errorf("lifting a poisoned page: %v", err)
	}
	if err := kernelWrites(t, b[page:]); err != unix.EFAULT {
		t.Errorf("write by the kernel: %v, want EFAULT", err)
	}
	if err := unix.Madvise(b[page:2*page], unix.MADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	if err := f.Unregister(addr, 3*page); err != nil {
		t.Fatal(err)
	}
	if err := kernelWrites(t, b[page:]); err != nil {
		t.Errorf("after discarding it: %v", err)
	}
}

func TestWakeOfNobodyIsHarmless(t *testing.T) {
	f := mustOpen(t, wpFeatures)
	addr, _ := mmap(t, page)
	if err := errors.Join(f.Register(addr, page, ModeWP), f.Wake(addr, page)); err != nil {
		t.Error(err)
	}
}
