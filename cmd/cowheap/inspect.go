package main

import (
	"context"
	"errors"
	"io"
	"time"

	"github.com/cowheap/cowheap/checkpoint"
)

const inspectUsage = `Usage: cowheap inspect [-json] FILE|DIR

Prints what a checkpoint holds, or each of a directory, newest first: its header, the roots with the layouts of their
types, and where its pages are. Reads header, index and trailer, not the pages (see verify), and changes nothing.

Exit status:
  0  all was printed
  1  a checkpoint is damaged or cannot be read; the others were printed
  2  wrong usage
`

// inspection is what inspect says. Its JSON is read by programs, see report.
type inspection struct {
	Schema      int                `json:"schema"`
	Checkpoints []checkpointReport `json:"checkpoints"` // newest first
}

type checkpointReport struct {
	Path        string       `json:"path"`
	Error       string       `json:"error,omitempty"` // then the rest is not known
	ID          string       `json:"id,omitempty"`
	Parent      string       `json:"parent,omitempty"`
	Time        time.Time    `json:"time,omitzero"`
	Size        int64        `json:"size"`   // bytes of the arena
	Pages       int64        `json:"pages"`  // stored in this file
	Blocks      int64        `json:"blocks"` // regions of 2 MiB with at least one of them, or with some that became zero; those that share a block count once
	Bytes       int64        `json:"bytes"`  // of this file
	Incremental bool         `json:"incremental"`
	Compressed  bool         `json:"compressed"`
	Sparse      bool         `json:"sparse"` // regions may share a block
	Chain       int          `json:"chain"`  // files that the state is in
	ChainBytes  int64        `json:"chain_bytes"`
	Roots       []rootReport `json:"roots"`
	Regions     []int        `json:"regions"` // bytes stored for each 2 MiB of the arena, in all files
}

type rootReport struct {
	Name   string       `json:"name"`
	Offset uint64       `json:"offset"`
	Type   string       `json:"type"`
	Size   int64        `json:"size"`
	Layout []typeReport `json:"layout"` // the root's own type, then those that it refers to

	layout checkpoint.Layout
}

// typeReport is a type of a layout; elem, key and a field's type are its numbers there, -1 for none.
type typeReport struct {
	Name   string        `json:"name"`
	Kind   string        `json:"kind"`
	Size   int64         `json:"size"`
	Elem   int           `json:"elem"`
	Key    int           `json:"key"`
	Len    int64         `json:"len"`
	Fields []fieldReport `json:"fields"`
}

type fieldReport struct {
	Name   string `json:"name"`
	Offset int64  `json:"offset"`
	Type   int    `json:"type"`
}

func typeReports(l checkpoint.Layout) []typeReport {
	types := make([]typeReport, len(l))
	for i, t := range l {
		types[i] = typeReport{t.Name, t.Kind, t.Size, t.Elem, t.Key, t.Len, make([]fieldReport, len(t.Fields))}
		for j, f := range t.Fields {
			types[i].Fields[j] = fieldReport{f.Name, f.Offset, f.Type}
		}
	}
	return types
}

func runInspect(args []string, stdout, stderr io.Writer) error {
	set, asJSON := newCommand("inspect", inspectUsage)
	got, err := parse(set, args, stdout, stderr, "FILE|DIR")
	if err != nil {
		return err
	}
	r := inspection{Schema: 1}
	var errs []error
	r.Checkpoints, errs, err = eachCheckpoint(context.Background(), got[0], func(path string) (checkpointReport, error) {
		c, err := inspectFile(path)
		if err != nil {
			c.Error = err.Error()
		}
		return c, err
	})
	if err != nil {
		return err
	}
	if err := printOutput(stdout, &r, *asJSON); err != nil {
		return err
	}
	return errors.Join(errs...)
}

// inspectFile describes the checkpoint at path; what it answers with an error has the path.
func inspectFile(path string) (c checkpointReport, err error) {
	c = checkpointReport{Path: path, Roots: []rootReport{}, Regions: []int{}}
	im, err := openImage(path)
	if err != nil {
		return c, err
	}
	defer func() { err = errors.Join(err, im.Close()) }()
	i := im.Info()
	c.ID, c.Time, c.Size = i.ID.String(), i.Time, i.Size
	if i.Parent != [16]byte{} {
		c.Parent = i.Parent.String()
	}
	c.Pages, c.Blocks, c.Bytes = i.Pages, i.Blocks, i.Bytes
	c.Incremental, c.Compressed, c.Sparse = i.Incremental, i.Compressed, i.Sparse
	c.Chain, c.ChainBytes = i.Chain, i.ChainBytes
	for _, root := range i.Roots {
		r := rootReport{Name: root.Name, Offset: root.Offset, Layout: typeReports(root.Layout), layout: root.Layout}
		if len(root.Layout) > 0 {
			r.Type, r.Size = typeText(root.Layout, 0), root.Layout[0].Size
		}
		c.Roots = append(c.Roots, r)
	}
	for region := range im.Regions() {
		c.Regions = append(c.Regions, im.BlockSize(region))
	}
	return c, nil
}
