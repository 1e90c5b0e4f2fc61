package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/checkpoint"
)

// TestBlocksThatRegionsShare: inspect draws them region by region, verify reads them,
// diff names their pages.
func TestBlocksThatRegionsShare(t *testing.T) {
	s, err := checkpoint.OpenStore(t.TempDir(), checkpoint.StoreOptions{NoFold: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	m := make([]byte, 5*regionBytes)
	m[regionBytes] = 1 // a page of region 1
	full, err := s.Save(t.Context(), state{bytes.NewReader(m)}, checkpoint.WriteOptions{})
	if err != nil {
		t.Fatal(err)
	}
	changed := []int{2, 300, 4*512 + 511} // pages of regions 0 and 4
	for _, page := range changed {
		m[page*pageBytes+9] = 7
	}
	next, err := s.Save(t.Context(), state{bytes.NewReader(m)}, checkpoint.WriteOptions{
		Parent: full.ID, ParentSize: full.Size,
		Changed: func(yield func(off, n int64) bool) {
			for _, page := range changed {
				if !yield(int64(page)*pageBytes, pageBytes) {
					return
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	c := decode[inspection](t, exitOK, "inspect", next.Path).Checkpoints[0]
	// Of region 1 the full file has a block of a header and a page.
	if !c.Incremental || !c.Sparse || c.Blocks != 1 || c.Pages != 3 || !slices.Equal(c.Regions, []int{2 * pageBytes, 2 * pageBytes, 0, 0, pageBytes}) {
		t.Errorf("%+v", c)
	}
	if _, stdout, _ := do(t, "inspect", next.Path); !strings.Contains(stdout, ", with sparse blocks\n") || !strings.HasSuffix(stdout, "  --..-\n") {
		t.Error(stdout)
	}
	d := decode[difference](t, exitDiffers, "diff", full.Path, next.Path)
	if want := []pageRun{{2, 1}, {300, 1}, {4*512 + 511, 1}}; d.Pages != 3 || !slices.Equal(d.Runs, want) {
		t.Errorf("%+v", d)
	}
	if status, stdout, stderr := do(t, "verify", next.Path); status != exitOK || !strings.HasPrefix(stdout, next.Path+": ok, ") {
		t.Errorf("status %d, %s, %s", status, stdout, stderr)
	}
	flip(t, next.Path, 4096+4096+2*pageBytes) // header, header of the block, two pages
	if status, _, stderr := do(t, "verify", next.Path); status != exitFailed || !strings.Contains(stderr, "page 511 of region 4") || !strings.Contains(stderr, next.Path) {
		t.Errorf("status %d, %s", status, stderr)
	}
}
