package restore

import (
	"fmt"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/checkpoint"
	"github.com/cowheap/cowheap/internal/block"
	"github.com/cowheap/cowheap/internal/vm"
)

// mapped copies regions into an arena straight from a mapped file, which saves
// reading them into a buffer first. Only the kernel reads the mapping, by
// UFFDIO_COPY: a file that is cut short meanwhile is an error and no signal. And
// what is verified is the copy, which nobody else can change any more.
type mapped struct {
	im   *checkpoint.Image
	to   *arena.Restoring
	file []byte
}

// newMapped answers nil where this way is not to be had.
func newMapped(im *checkpoint.Image, to *arena.Restoring) *mapped {
	if im.File() == nil || !to.ByKernel() {
		return nil
	}
	file, err := vm.MapFile(im.File().Fd(), im.Info().Bytes)
	if err != nil {
		return nil
	}
	return &mapped{im, to, file}
}

func (m *mapped) close() error { return vm.UnmapFile(m.file) }

// region copies and verifies one region.
func (m *mapped) region(region int, buf []byte) error {
	err := m.copyRegion(region, buf)
	if err == nil {
		return nil
	}
	// What exactly is wrong with it the ordinary way of reading says.
	nothing := func(int64, []byte) error { return nil }
	if exact := readRows(m.im, region, buf, nothing); exact != nil {
		return exact
	}
	return err
}

func (m *mapped) copyRegion(region int, buf []byte) error {
	h, err := m.im.ReadHeader(region, buf)
	if err != nil || h == nil {
		return err
	}
	for run := range h.Runs() {
		for done := 0; done < run.Count; {
			n := min(run.Count-done, rowSize/block.PageSize)
			from := m.im.BlockOffset(region) + block.HeaderSize + int64(run.Rank+done)*block.PageSize
			off := int64(region)*block.RegionSize + int64(run.Page+done)*block.PageSize
			size := int64(n) * block.PageSize
			if from+size > int64(len(m.file)) {
				return fmt.Errorf("region %d ends beyond the file: %w", region, checkpoint.ErrCorrupt)
			}
			row := m.file[from : from+size]
			vm.Prefault(row)
			if err := m.to.Fill(off, row); err != nil {
				return err
			}
			// While the copy is in the cache.
			got := m.to.Bytes(off, size)
			for i := range n {
				if block.CRC(got[i*block.PageSize:][:block.PageSize]) != h.PageCRC(run.Page+done+i) {
					return fmt.Errorf("page %d of region %d: %w", run.Page+done+i, region, checkpoint.ErrCorrupt)
				}
			}
			done += n
		}
	}
	return nil
}
