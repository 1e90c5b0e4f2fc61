package arena

// How a shadow guard finds what was written, by what it saw: protecting costs a fault
// for each page written, and a scan; copying costs copying everything, and a slot for
// each page, written or not; comparing costs about twice as much time, and slots
// only for what was written.
type tracking int

const (
	byProtecting tracking = iota // most pages are clean
	byCopying                    // many are not
	byComparing                  // many are not, and there is no room for copies of the others
)

// policy chooses among them.
type policy struct {
	mode  tracking
	heavy int // snapshots in a row that found more than a third dirty
	age   int // snapshots since it began to copy
	looks int // snapshots in a row that compared
}

const (
	// So few pages are copied as fast as one asks the kernel about them.
	tinyPages = 64
	// How often copying is left off for a comparison, which may find that little is written now.
	copyingFor = 32
	// So many comparisons in a row have to find the same pages written as the one before, before they are taken for hot.
	steadyFor = 3
)

// adapt looks at a snapshot that copied so many of all pages in use; tracked says that it knew
// by protection which were written.
func (g *shadow) adapt(copied, pages uint64, tracked bool) {
	g.lastDirty = copied
	if g.high > 0 {
		return // copying all would bring all in
	}
	whole := byComparing
	if g.roomy(pages) {
		whole = byCopying
	}
	switch {
	case !adapting:
	case pages <= tinyPages:
		g.mode = whole
	case g.mode == byProtecting:
		if !tracked {
			break // it was all dirty by definition
		}
		if g.heavy++; copied*3 <= pages || g.steadily(copied, pages) {
			g.heavy = 0
		}
		if g.heavy >= 2 {
			g.mode, g.age = whole, 0
		}
	case g.mode == byComparing:
		g.compared(copied, pages, whole)
	default:
		if g.age++; g.age >= copyingFor || whole == byComparing {
			g.mode = byComparing
		}
	}
	if g.mode != byProtecting && g.armed > 0 {
		// Or everything that is written next would be a fault. An error leaves that.
		_ = g.protectRange(0, g.armed, false)
		g.armed, g.open = 0, g.open[:0]
	}
}

// compared chooses after a snapshot that compared.
func (g *shadow) compared(copied, pages uint64, whole tracking) {
	steady := g.steadily(copied, pages)
	switch g.looks++; {
	case copied*4 < pages || steady && g.looks > steadyFor:
		g.mode, g.heavy, g.looks = byProtecting, 0, 0
	case steady || g.looks == 1 && copied*3 < 2*pages:
		// Are they the same once more?
	default:
		if g.age = 0; g.looks > 1 {
			g.age = -copyingFor // that was one more comparison than usual
		}
		g.mode, g.looks = whole, 0
	}
}

// roomy: copying does not cost older snapshots their room.
func (g *shadow) roomy(pages uint64) bool {
	return g.history()+2*pages <= g.figures.limit.Load()/pageSize
}
