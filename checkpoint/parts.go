package checkpoint

import "github.com/cowheap/cowheap/internal/block"

// parts gives the regions of a sparse block one after the other, each as the block
// that it would have by itself.
type parts struct {
	block block.Sparse // nil: there is none
	pages []byte
	part  block.Part // that was given last
	head  [block.HeaderSize]byte
}

// set starts with the first region of a block that has been verified.
func (p *parts) set(s block.Sparse, pages []byte) {
	p.block, p.pages, p.part = s, pages, block.Part{}
}

// next is the next region, valid until it is called again. It is false if there are no more.
func (p *parts) next() (Block, bool) {
	if p.block == nil {
		return Block{}, false
	}
	p.part = p.block.PartAt(p.part.First+p.part.Len, p.part.Rank+p.part.Count)
	if p.part.Len == 0 {
		p.block = nil
		return Block{}, false
	}
	p.block.PutHeader(p.part, p.head[:])
	pages := p.pages[p.part.Rank*block.PageSize:][:p.part.Count*block.PageSize]
	return Block{Region: int(p.part.Region), Header: p.head[:], Pages: pages}, true
}
