package cowheap

import "strings"

// place is where a walk over a heap is, by the types alone: all elements of a Vec are
// at one place. Where a type leads to itself, its place is used again, so there are
// as many as a program can write down, whatever the heap holds.
type place struct {
	root    *rootWalk
	parent  *place // nil: of a root
	label   string // of this step: .Field, [], [key] or ->
	typ     int    // of what is here, in the root's layout
	pointer bool   // the step goes to other memory
	id      claim
	kids    []*place // by field; or by kidElem and kidKey
	off     uint64   // of a root
}

const (
	kidElem = 0
	kidKey  = 1

	// maxPlaces bounds what a layout that was made to look bad can cost.
	maxPlaces = 1 << 16
)

// newPlace gives a place a number.
func (c *checker) newPlace(p *place) *place {
	p.id = claim(len(c.places))
	c.places = append(c.places, p)
	return p
}

// kid is the place one step on from p. n is how many p has.
func (c *checker) kid(p *place, i, n int, label string, typ int, pointer bool) *place {
	if i < len(p.kids) && p.kids[i] != nil {
		return p.kids[i]
	}
	if p.kids == nil {
		p.kids = make([]*place, n)
	}
	if pointer {
		for up := p; up != nil; up = up.parent {
			if up.typ == typ && (up.pointer || up.parent == nil) {
				p.kids[i] = up
				return up
			}
		}
	}
	if len(c.places) >= maxPlaces {
		return c.newRest(p, typ)
	}
	p.kids[i] = c.newPlace(&place{root: p.root, parent: p, label: label, typ: typ, pointer: pointer})
	return p.kids[i]
}

// newRest is a place beyond maxPlaces: right in its type, but without a number of its own.
func (c *checker) newRest(p *place, typ int) *place {
	if c.rest == nil {
		c.rest = c.newPlace(&place{root: p.root, label: "..."})
	}
	return &place{root: p.root, label: "...", typ: typ, id: c.rest.id}
}

func (p *place) owner() claim { return p.id }

// path is the place as it is written.
func (p *place) path() string {
	var labels []string
	for ; p != nil; p = p.parent {
		labels = append(labels, p.label)
	}
	var b strings.Builder
	for i := len(labels) - 1; i >= 0; i-- {
		label := labels[i]
		if strings.HasPrefix(label, ".") && i+1 < len(labels) && labels[i+1] == "->" {
			label = label[1:]
		}
		b.WriteString(label)
	}
	return b.String()
}

// kind says of which type the value at a place is, if it is more than a struct or an
// array.
func (p *place) kind() string {
	if p.root.types == nil {
		return ""
	}
	switch p.root.types[p.typ].Kind {
	case kindRef, kindVec, kindMap, kindTree, kindOrder, kindQueue, kindText:
		return describeType(p.root.layout, p.typ) + ": "
	}
	return ""
}
