//go:build !linux

package restore

import (
	"context"

	"github.com/cowheap/cowheap/checkpoint"
)

// ahead is for systems whose page cache can be told what will be read.
func ahead(context.Context, checkpoint.Direct, []uint32) {}
