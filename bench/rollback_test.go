package main

import "testing"

func TestRunsAreScattered(t *testing.T) {
	const total = 1 << 14
	for _, run := range runLengths {
		covered := make([]bool, total+run)
		count := total / 4 / run
		starts := scatteredRuns(total, run, count)
		if len(starts) != count {
			t.Fatalf("%d runs of %d pages, not %d", len(starts), run, count)
		}
		for _, s := range starts {
			for p := int(s); p < int(s)+2*run; p++ {
				if p >= total || covered[p] {
					t.Fatalf("runs of %d pages: page %d is in two, or too near to another", run, p)
				}
				covered[p] = true
			}
		}
	}
}

func TestNamesOfRunsAreTakenApart(t *testing.T) {
	for _, v := range rollbackCase().Variants {
		if p := findPutBack(v.Name); p.name() != v.Name {
			t.Errorf("%s is taken for %+v", v.Name, p)
		}
	}
}
