package arena

import "testing"

func TestClassIsTheSmallestThatHolds(t *testing.T) {
	c := 0
	for size := uint64(0); size <= maxSmall; size++ {
		if size > uint64(classSizes[c]) {
			c++
		}
		if got := classOfSize(size); got != c {
			t.Fatalf("classOfSize(%d) = %d (%d bytes), want %d (%d bytes)", size, got, classSizes[got], c, classSizes[c])
		}
	}
	if c != numClasses-1 {
		t.Fatalf("the last class used is %d of %d", c, numClasses)
	}
}

func TestClassWaste(t *testing.T) {
	for size := uint64(1); size <= 1<<20; size++ {
		var room uint64
		if size <= maxSmall {
			room = uint64(classSizes[classOfSize(size)])
		} else {
			room = (size + runPageSize - 1) &^ (runPageSize - 1)
		}
		waste := room - size
		if size < 128 {
			if waste >= 16 {
				t.Fatalf("%d bytes waste %d", size, waste)
			}
		} else if waste*8 > room {
			t.Fatalf("%d bytes take %d: more than 12.5%% wasted", size, room)
		}
	}
}

func TestClassForAlignment(t *testing.T) {
	for align := uint64(1); align <= runPageSize; align *= 2 {
		for size := uint64(0); size <= maxSmall; size++ {
			got := uint64(classSizes[classFor(size, align)])
			if got < size || got%align != 0 {
				t.Fatalf("classFor(%d, %d) has objects of %d bytes", size, align, got)
			}
			if c := classFor(size, align); c > 0 {
				if smaller := uint64(classSizes[c-1]); smaller >= size && smaller%align == 0 {
					t.Fatalf("classFor(%d, %d) is %d bytes, %d would do", size, align, got, smaller)
				}
			}
		}
	}
}

func TestSpanShapes(t *testing.T) {
	for c := range numClasses {
		size := uint64(classSizes[c])
		for order := range numOrders {
			s := spanShapes[c][order]
			bytes := uint64(s.pages) * runPageSize
			if uint64(s.objects) != bytes/size || s.objects == 0 {
				t.Errorf("class %d order %d: %d objects of %d bytes in %d pages", c, order, s.objects, size, s.pages)
			}
			if s.descs == 0 || s.descs > maxDescs || (s.objects+63)/64 != s.descs {
				t.Errorf("class %d order %d: %d descriptors for %d objects", c, order, s.descs, s.objects)
			}
			// A class's first span may waste a little more, to stay small.
			most := [numOrders]uint64{bytes / 5, bytes / 8, bytes / 8, bytes / 16}[order]
			if left := bytes - uint64(s.objects)*size; left > most {
				t.Errorf("class %d order %d: %d bytes of %d left over", c, order, left, bytes)
			}
			if bytes > 128<<10 {
				t.Errorf("class %d order %d: a span of %d bytes", c, order, bytes)
			}
			if order > 0 && s.pages < spanShapes[c][order-1].pages {
				t.Errorf("class %d: order %d is smaller than the one before", c, order)
			}
		}
	}
}

func TestReciprocalsDivideExactly(t *testing.T) {
	for c := range numClasses {
		size := uint64(classSizes[c])
		for rel := range uint64(128 << 10) {
			if got := rel * spanShapes[c][0].reciprocal >> 32; got != rel/size {
				t.Fatalf("%d / %d = %d", rel, size, got)
			}
		}
	}
}
