package main

// Plots are pictures of figures, as SVG made by hand: lines (plot_lines.go) where
// something grows, rows (plot_rows.go) where things stand side by side.
//
// A plot is to be understood by somebody who sees nothing else: what is measured and in
// which direction it is better stands above it, names stand at what they name, axes are
// labelled in units that people read, and machine and command stand below. It has a ground
// of its own, dark where the reader's page is, and colours that remain apart for those who
// see fewer of them (after Okabe and Ito).

// plot is one picture.
type plot struct {
	file   string // its name, without .svg
	title  string
	note   string // how to read it: one or two lines
	more   bool   // more is better; else less is
	draw   func(*canvas)
	height float64 // of what is drawn
}

// better is the direction in which it is better.
func (p *plot) better() string {
	if p.more {
		return "(more is better)"
	}
	return "(less is better)"
}

// heading is the title with that.
func (p *plot) heading() string { return p.title + " " + p.better() }

// Ways of doing things have one colour in all plots. A colour is the name of a class in
// style; the ways that are not here take turns in those that are left.
var wayColours = map[string]string{
	"userfault": "c1", "cowheap": "c1", "auto": "c1", "ahead": "c1", "eager": "c1", "checkpoint": "c1", "heap": "c1",
	"map": "c1", "heap-map": "c1", "learned": "c1", "verify": "c1", "wp-unpopulate": "c1",
	"fork": "c2", "redis": "c2", "process": "c2", "pointers": "c2",
	"copy": "c3", "full": "c3", "memcpy": "c3", "plain": "c3", "full-copy": "c3", "go-map": "c3", "nothing": "c3", "default": "c3",
	"shadow": "c4", "tracked": "c4",
	"wholesale": "c6", "mprotect": "c7",
	"go-memdb": "c6", "memdb": "c6",
	"btree": "c4", "tidwall": "c7", "google": "c8",
	"goroutine": "c8",
	// Names that are written out, in full.
	"cowheap, small pages": "c1", "cowheap (default)": "c1", "cowheap, huge pages": "c4", "small pages": "c1", "huge pages": "c4",
	"cowheap, all at the instant": "c6", "cowheap, tracked, 1% written": "c4", "cowheap: held": "c1", "cowheap: waited for": "c4",
	"go-memdb Snapshot": "c8", "tidwall/btree Copy": "c7",
	"the same, some of them split": "c1", "fork(2), small pages": "c2", "fork(2), huge pages": "c2", "fork: copy-on-write": "c2",
	"cowheap shadow, small pages": "c4", "cowheap mprotect, small pages": "c7",
	"cowheap shadow, random": "c4", "cowheap shadow, in order": "c4",
}

// wayColour is that of a name, or else of its first word; "" if neither has one.
func wayColour(name string) string {
	if colour := wayColours[name]; colour != "" {
		return colour
	}
	return wayColours[firstWord(name)]
}

// colours are all there are.
var colours = []string{"c1", "c2", "c4", "c5", "c6", "c7", "c8", "c3"}

// palette gives every name of one plot a colour of its own.
type palette map[string]string

func newPalette(names []string) palette {
	p, taken := palette{}, map[string]bool{}
	for _, name := range names {
		if colour := wayColour(name); colour != "" && !taken[colour] {
			p[name], taken[colour] = colour, true
		}
	}
	next := 0
	for _, name := range names {
		if p[name] != "" {
			continue
		}
		for next < len(colours) && taken[colours[next]] {
			next++
		}
		// With more names than colours the last one is shared: labels tell them apart.
		p[name] = colours[min(next, len(colours)-1)]
		taken[p[name]] = true
	}
	return p
}

// style is that of all plots. Colours are dark enough to be read as text on white, and
// those of the dark page light enough.
const style = `
text{font-family:system-ui,"Segoe UI","DejaVu Sans",Arial,sans-serif;font-size:13px;fill:#222}
.ground{fill:#fff}
.title{font-size:17px;font-weight:600}
.note,.foot{fill:#555}
.foot{font-size:11px}
.tick{font-size:12px;fill:#444}
.value{font-size:12px;font-weight:600}
.grid{stroke:#e2e2e2;stroke-width:1}
.axis{stroke:#888;stroke-width:1}
.lead{stroke:#aaa;stroke-width:1}
.line{fill:none;stroke-width:2.2}
.span{stroke-width:5;opacity:.28}
.bar{stroke:none}
.strong{font-weight:600}
.shade{fill:#000;opacity:.06}
path.p99{stroke-width:1.4;opacity:.7}
path.longest{stroke-width:1.2;stroke-dasharray:3 2}
.open{fill:#fff;stroke-width:2.2}
.c1{stroke:#0067a5;fill:#0067a5}.c2{stroke:#c24a00;fill:#c24a00}.c3{stroke:#5f5f5f;fill:#5f5f5f}.c4{stroke:#00795a;fill:#00795a}
.c5{stroke:#3f87b5;fill:#3f87b5}.c6{stroke:#8a6a00;fill:#8a6a00}.c7{stroke:#a03c86;fill:#a03c86}.c8{stroke:#1f1f1f;fill:#1f1f1f}
text.c1,text.c2,text.c3,text.c4,text.c5,text.c6,text.c7,text.c8{stroke:none}
path.line{fill:none}
.mark.open{fill:#fff}
@media screen and (prefers-color-scheme:dark){
text{fill:#e8e8e8}
.ground,.mark.open{fill:#16191d}
.note,.foot,.tick{fill:#b4b4b4}
.grid{stroke:#2d3238}
.axis,.lead{stroke:#7a7a7a}
.shade{fill:#fff;opacity:.09}
.c1{stroke:#5db4ef;fill:#5db4ef}.c2{stroke:#ff8a47;fill:#ff8a47}.c3{stroke:#b0b0b0;fill:#b0b0b0}.c4{stroke:#35c79b;fill:#35c79b}
.c5{stroke:#9fd0ee;fill:#9fd0ee}.c6{stroke:#e6b422;fill:#e6b422}.c7{stroke:#e58fca;fill:#e58fca}.c8{stroke:#f0f0f0;fill:#f0f0f0}
path.line{fill:none}
.mark.open{fill:#16191d}
}
`
