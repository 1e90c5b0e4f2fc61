//go:build !linux

package uffd

// Pagemap tells which pages are write-protected and which were written. Only Linux can: here OpenPagemap fails.
type Pagemap struct{}

// OpenPagemap returns a *NotSupportedError.
func OpenPagemap() (*Pagemap, error) { return nil, errSystem }

func (p *Pagemap) Close() error { return nil }
func (p *Pagemap) Scan(dst []PageRegion, addr, n uintptr, mode ScanMode) ([]PageRegion, error) {
	return dst, errSystem
}
func (p *Pagemap) CountProtected(addr, n uintptr) (int, error) { return 0, errSystem }
