package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/cowheap/cowheap/checkpoint"
)

const diffUsage = `Usage: cowheap diff [-json] A B

Compares two checkpoint files page by page, and the roots that both have field by field, as their layouts say. Of a directory
it takes the newest. What it reads is verified.

Exit status:
  0  the state is the same
  1  a checkpoint is damaged or cannot be read
  2  wrong usage
  3  the state differs
`

// exitDiffers is what a script asks for with diff.
const exitDiffers = 3

// difference is what diff says. Its JSON is read by programs, see report.
type difference struct {
	Schema int        `json:"schema"`
	A      string     `json:"a"` // paths
	B      string     `json:"b"`
	SizeA  int64      `json:"size_a"` // bytes of the arenas
	SizeB  int64      `json:"size_b"`
	Pages  int64      `json:"pages"` // that differ; one beyond an arena's end is zero
	Bytes  int64      `json:"bytes"` // in them
	Runs   []pageRun  `json:"runs"`  // of pages that differ
	Roots  []rootDiff `json:"roots"` // that differ
}

type pageRun struct {
	First int64 `json:"first"`
	Count int64 `json:"count"`
}

const pageBytes = 4096

func runDiff(args []string, stdout, stderr io.Writer) (err error) {
	set, asJSON := newCommand("diff", diffUsage)
	got, err := parse(set, args, stdout, stderr, "A", "B")
	if err != nil {
		return err
	}
	var images [2]*checkpoint.Image
	var paths [2]string
	for i := range images {
		all, err := checkpointsAt(got[i])
		if err != nil {
			return err
		}
		paths[i] = all[0]
		if images[i], err = openImage(all[0]); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, images[i].Close()) }()
	}
	d := &difference{Schema: 1, A: paths[0], B: paths[1], SizeA: images[0].Size(), SizeB: images[1].Size(), Runs: []pageRun{}, Roots: []rootDiff{}}
	if err := d.pages(images[0], images[1], newBar(stderr, "comparing")); err != nil {
		return err
	}
	if err := d.roots(images[0], images[1]); err != nil {
		return err
	}
	if err := printOutput(stdout, d, *asJSON); err != nil {
		return err
	}
	if d.Pages > 0 || len(d.Roots) > 0 {
		return &exitError{exitDiffers, fmt.Errorf("they differ: pages %d, roots %d", d.Pages, len(d.Roots))}
	}
	return nil
}

// pages compares region by region.
func (d *difference) pages(a, b *checkpoint.Image, bar *bar) error {
	defer bar.end()
	var p, q [regionBytes]byte
	regions := max(a.Regions(), b.Regions())
	for region := range regions {
		bar.show(int64(region), int64(regions))
		if err := errors.Join(readRegion(a, region, p[:]), readRegion(b, region, q[:])); err != nil {
			return err
		}
		if bytes.Equal(p[:], q[:]) {
			continue
		}
		for at := 0; at < regionBytes; at += pageBytes {
			x, y := p[at:at+pageBytes], q[at:at+pageBytes]
			if bytes.Equal(x, y) {
				continue
			}
			d.Pages++
			for i := range x {
				if x[i] != y[i] {
					d.Bytes++
				}
			}
			page := int64(region)*(regionBytes/pageBytes) + int64(at/pageBytes)
			if n := len(d.Runs); n > 0 && d.Runs[n-1].First+d.Runs[n-1].Count == page {
				d.Runs[n-1].Count++
			} else {
				d.Runs = append(d.Runs, pageRun{page, 1})
			}
		}
	}
	return nil
}

// readRegion fills p with a region, zeros where there is nothing.
func readRegion(im *checkpoint.Image, region int, p []byte) error {
	clear(p)
	off := int64(region) * regionBytes
	if off >= im.Size() || im.BlockSize(region) == 0 {
		return nil
	}
	p = p[:min(int64(len(p)), im.Size()-off)]
	if n, err := im.ReadAt(p, off); n < len(p) {
		return err
	}
	return nil
}

func (d *difference) writeText(w io.Writer) error {
	var b bytes.Buffer
	fmt.Fprintf(&b, "a  %s, arena %s\nb  %s, arena %s\n", printable(d.A), formatBytes(d.SizeA), printable(d.B), formatBytes(d.SizeB))
	fmt.Fprintf(&b, "pages that differ: %d, bytes in them: %d\n", d.Pages, d.Bytes)
	const most = 20
	for i, r := range d.Runs {
		if i == most {
			fmt.Fprintf(&b, "  and further rows of pages: %d\n", len(d.Runs)-most)
			break
		}
		fmt.Fprintf(&b, "  %12x  pages from there on: %d\n", r.First*pageBytes, r.Count)
	}
	for _, r := range d.Roots {
		fmt.Fprintf(&b, "root %q: %s\n", r.Name, r.Reason)
		for _, f := range r.Fields {
			fmt.Fprintf(&b, "  %s: %s -> %s\n", printable(f.Path), f.A, f.B)
		}
	}
	_, err := w.Write(b.Bytes())
	return err
}
