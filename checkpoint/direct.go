package checkpoint

import (
	"os"

	"github.com/cowheap/cowheap/internal/block"
)

// Direct is the part of an [Image] that can be had by reading one file at known
// places: what the resolver of a lazy restore can bring in, which knows nothing
// of chains, of compression and of blocks that regions share. What it gets wrong or does not have is read by
// [Image.ReadRest].
type Direct struct {
	File  *os.File // nil if the image was opened by NewImage. The Image closes it
	Path  string
	ID    [16]byte // that the file's blocks have
	Index []uint64 // an entry a region: offset of the block in the file, 0: there is none, or one that ReadRest reads
	Whole bool     // it has everything: the image is one file, and no block is compressed

	link  *link
	least int64 // smallest arena of all parents down to link
}

// Direct chooses the file of the chain that has most pages in blocks which are not
// compressed, and not sparse.
func (im *Image) Direct() Direct {
	var d Direct
	most := int64(-1)
	least := im.Size()
	for _, l := range im.links {
		raw := int64(0)
		for region := range min(im.Regions(), len(l.index)) {
			if l.isDirect(region) {
				raw += int64(l.blockSize(region))
			}
		}
		if raw > most {
			most = raw
			d.link, d.least = l, least
		}
		if l.header.info.Incremental {
			least = min(least, l.header.info.ParentSize)
		}
	}
	l := d.link
	d.File, d.Path, d.ID = l.file, l.header.info.Path, l.header.info.ID
	d.Index = make([]uint64, im.Regions())
	d.Whole = len(im.links) == 1
	for region := range d.Index {
		switch {
		case !l.has(region):
		case l.isDirect(region):
			d.Index[region] = l.index[region]
		default:
			d.Whole = false
		}
	}
	return d
}

// ReadRest is [Image.ReadRuns] for the pages that d does not give as they are in
// the image: do gets rows of them, also rows of zeros where d has a page that has
// become zero since. It reads nothing where d is right.
func (im *Image) ReadRest(d *Direct, region int, buf []byte, do func(page int, pages []byte) error) error {
	if len(buf) < block.PageSize {
		return shortBuffer(buf, "page", block.PageSize)
	}
	if d.Whole || im.BlockSize(region) == 0 {
		return nil
	}
	var had block.Pages // what d gives
	if d.Index[region] != 0 {
		if im.BlockSize(region) == d.link.blockSize(region) && min(im.Size(), int64(region+1)*block.RegionSize) <= d.least {
			return nil
		}
		var head [block.HeaderSize]byte
		h, err := d.link.readHeader(region, head[:])
		if err != nil {
			return err
		}
		had = h.StoredPages().And(block.FirstPages(pagesIn(int64(region), im.Size())))
	}
	p, err := im.plan(region)
	if err != nil {
		return err
	}
	defer p.free()
	rest := p.stored()
	zeros := had.Without(rest)
	for i := range p.sources {
		if s := &p.sources[i]; s.link == d.link && d.Index[region] != 0 {
			rest = rest.Without(s.pages)
		}
	}
	if err := p.rows(rest, buf, do); err != nil || zeros.Empty() {
		return err
	}
	clear(buf)
	for first, n := range zeros.Runs() {
		for n > 0 {
			k := min(n, len(buf)/block.PageSize)
			if err := do(first, buf[:k*block.PageSize]); err != nil {
				return err
			}
			first += k
			n -= k
		}
	}
	return nil
}
