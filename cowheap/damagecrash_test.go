package cowheap

import (
	"bytes"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/arena"
)

// touches are ways in which a program meets a damaged page of its heap.
var touches = map[string]func(p *big, at int){
	"read":  func(p *big, at int) { println(p[at]) },
	"write": func(p *big, at int) { p[at] = 1 },
	"copy":  func(p *big, at int) { println(crc32.ChecksumIEEE(bytes.Clone(p[at-5000 : at+1000]))) },
}

// A plain load has no error to return, so a page that is damaged, or that is not
// in the file any more, ends the program. What it says names file and offset,
// and the trace is that of any fault.
func TestDamagedLazyPageCrashes(t *testing.T) {
	if touch := childTask(); touch != "" {
		g := have[arena.Guard](t)(arena.ParseGuard(os.Getenv("DAMAGED_GUARD")))
		touchDamage(t, lazyOptions(t, g), touch)
		return
	}
	eachLazyGuard(t, damagedLazyPageCrashes)
}

func damagedLazyPageCrashes(t *testing.T, o *Options) {
	for _, page := range []int{300, 700} { // in the first block and in the second
		for _, damage := range []string{"page", "header", "cut"} {
			if damage == "header" && page < 512 {
				continue // Open meets it
			}
			for touch := range touches {
				t.Run(fmt.Sprint(damage, " ", touch, " ", page), func(t *testing.T) {
					_, path := bigCheckpoint(t)
					at, blockAt := placeOf(t, path, page)
					cmd := child(t, touch, "DAMAGED_PATH="+path, "DAMAGED_GUARD="+o.Guard.String(), fmt.Sprint("DAMAGED_PAGE=", page))
					switch damage {
					case "page":
						overwrite(t, path, at+100)
					case "header":
						overwrite(t, path, blockAt+100)
						at = blockAt
					case "cut": // once it is open
						cmd.Env = append(cmd.Env, fmt.Sprint("DAMAGED_CUT=", at+4095))
					}
					b, err := cmd.CombinedOutput()
					out := string(b)
					if err == nil {
						t.Errorf("no crash")
					}
					for _, want := range []string{
						fmt.Sprintf("cannot be brought in: checkpoint file damaged or unreadable at offset %#x of %s\n", at, path),
						"unexpected fault address", "fatal error: fault", "SIGBUS", "goroutine ", "cowheap.touchDamage",
					} {
						if !strings.Contains(out, want) {
							t.Errorf("it does not say %q", want)
						}
					}
					if t.Failed() {
						t.Logf("%v, %.3000s", err, out)
					}
				})
			}
		}
	}
}

// touchDamage is the child.
func touchDamage(t *testing.T, o *Options, touch string) {
	path := os.Getenv("DAMAGED_PATH")
	page := have[int](t)(strconv.Atoi(os.Getenv("DAMAGED_PAGE")))
	h := have[*Heap](t)(Open(filepath.Dir(path), o))
	// The directory of roots lies behind the damage.
	var r Ref[big]
	if err := h.View(func(m *Mem) (err error) { r, err = Root[big](m, "big"); return err }); err != nil {
		t.Fatal(err)
	}
	if cut := os.Getenv("DAMAGED_CUT"); cut != "" {
		if err := os.Truncate(path, have[int64](t)(strconv.ParseInt(cut, 10, 64))); err != nil {
			t.Fatal(err)
		}
	}
	err := h.Update(func(m *Mem) error { touches[touch](r.Ptr(m), page*4096+10); return nil })
	t.Error("still alive", err, h.Close())
}
