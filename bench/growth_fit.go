package main

import "math"

// fit is a line a + b x through points, by least squares.
type fit struct {
	a, b     float64
	r2       float64 // share of the variance that it explains; NaN if there is none
	residual float64 // the greatest distance of a point from it
	at       float64 // and x there
}

// fitLine is the line through the medians. Large x weigh as much as small ones, so that on
// sizes that double the largest decide, which is what one extrapolates from.
// Preconditions: there are at least two points with different x.
func fitLine(points []point) fit {
	n := float64(len(points))
	var mx, my float64
	for _, p := range points {
		mx += p.x / n
		my += p.y / n
	}
	var sxx, sxy, syy float64
	for _, p := range points {
		sxx += (p.x - mx) * (p.x - mx)
		sxy += (p.x - mx) * (p.y - my)
		syy += (p.y - my) * (p.y - my)
	}
	f := fit{b: sxy / sxx}
	f.a = my - f.b*mx
	var rest float64
	for _, p := range points {
		d := p.y - f.y(p.x)
		rest += d * d
		if math.Abs(d) > math.Abs(f.residual) {
			f.residual, f.at = d, p.x
		}
	}
	if f.r2 = math.NaN(); syy > 0 {
		f.r2 = 1 - rest/syy
	}
	return f
}

// y is the line's at x.
func (f fit) y(x float64) float64 { return f.a + f.b*x }

// poor tells whether the line is none to be drawn on: it leaves more than a tenth of the variance, or it
// falls, and costs do not.
func (f fit) poor() bool { return math.IsNaN(f.r2) || f.r2 < 0.9 || f.b <= 0 }
