package cowheap

import (
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

func TestStringModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s, b := newTestSpace(t, 4<<20)
		must[any](t)(nil, s.update(func(m *Mem) error {
			p := alloc[[4]String](t, m)
			var model [4]string
			empty := b.objects()
			i := rapid.IntRange(0, 3)
			text := rapid.OneOf(rapid.String(), rapid.Map(rapid.IntRange(0, 3000), func(n int) string { return strings.Repeat("x", n) }))
			t.Repeat(map[string]func(*rapid.T){
				"": func(t *rapid.T) {
					held := 0
					for i, want := range model {
						if got := p[i].Get(m); got != want || p[i].Len() != len(want) || !p[i].Equal(m, want) || p[i].Equal(m, want+"x") {
							t.Fatalf("String %d is %q, want %q", i, got, want)
						}
						if want != "" {
							held++
						}
					}
					if b.objects() != empty+held {
						t.Fatalf("%d objects for %d texts", b.objects()-empty, held)
					}
				},
				"set": func(t *rapid.T) {
					at, s := i.Draw(t, "i"), text.Draw(t, "text")
					must[any](t)(nil, p[at].Set(m, s))
					model[at] = s
				},
				"set part": func(t *rapid.T) {
					at := i.Draw(t, "i")
					from := rapid.IntRange(0, len(model[at])).Draw(t, "from")
					must[any](t)(nil, p[at].Set(m, p[at].Get(m)[from:]))
					model[at] = model[at][from:]
				},
				"new": func(t *rapid.T) {
					at, s := i.Draw(t, "i"), text.Draw(t, "text")
					p[at].Clear(m)
					p[at] = must[String](t)(NewString(m, s))
					model[at] = s
				},
				"clear": func(t *rapid.T) {
					at := i.Draw(t, "i")
					p[at].Clear(m)
					model[at] = ""
				},
				"full": func(t *rapid.T) {
					defer b.fails(0)()
					s := text.Draw(t, "text")
					if err := p[0].Set(m, s+"!"); !errors.Is(err, ErrFull) {
						t.Fatalf("without memory: %v, want ErrFull", err)
					}
				},
			})
			return nil
		}))
	})
}

// A String that Clear or Free has seen twice is an error, not corruption.
func TestStringThatWasFreedElsewherePanics(t *testing.T) {
	inUpdate(t, 1<<20, func(m *Mem, b *testBacking) {
		s := must[String](t)(NewString(m, "text"))
		other := s
		s.Clear(m)
		if got := panics(func() { other.Clear(m) }); !strings.Contains(got, "freed through a stale Ref") {
			t.Errorf("panics with %q", got)
		}
	})
}
