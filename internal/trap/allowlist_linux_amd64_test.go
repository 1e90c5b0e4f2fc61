package trap

import (
	"bufio"
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// builds are the ways in which users build what imports us.
var builds = []struct {
	name string
	args []string
	env  []string
}{
	{"plain", nil, nil},
	{"unoptimized", []string{"-gcflags=all=-N -l"}, nil},
	{"delayed", []string{"-tags=trapdelay"}, nil},
	{"invariants", []string{"-tags=invariants"}, nil},
	{"nocgo", nil, []string{"CGO_ENABLED=0"}},
	{"cover", []string{"-cover", "-coverpkg=./..."}, nil},
	{"atomic-cover", []string{"-cover", "-covermode=atomic", "-coverpkg=./..."}, nil},
	{"race", []string{"-race"}, []string{"CGO_ENABLED=1"}},
	{"race-cover", []string{"-race", "-cover", "-coverpkg=./..."}, []string{"CGO_ENABLED=1"}},
}

const pkg = "github.com/cowheap/cowheap/internal/trap."

// allowed are the calls out of this package that may appear in the resolver, by
// build. In general there are none: not even the runtime's memmove.
// Coverage of this very package with -race counts by the race detector's
// atomics; nobody but this package's own tests is built so.
var allowed = map[string][]string{
	"race-cover": {"sync/atomic.AddUint32", "sync/atomic.StoreUint32"},
}

// roots are what the trampoline calls.
var roots = []string{pkg + "enter", pkg + "classify", pkg + "writeFault", pkg + "missingFault", pkg + "chunkFault", pkg + "idleFault", pkg + "widenFault"}

func TestResolverCallsOnlyWhatIsAllowed(t *testing.T) {
	if testing.Short() {
		t.Skip("builds the package nine times")
	}
	gotool, err := exec.LookPath("go")
	if err != nil {
		t.Skip("no go command on this machine: ", err)
	}
	for _, b := range builds {
		t.Run(b.name, func(t *testing.T) {
			bin := filepath.Join(t.TempDir(), "trap.test")
			cmd := exec.CommandContext(t.Context(), gotool, append(append([]string{"test", "-c", "-o", bin}, b.args...), ".")...)
			cmd.Env = append(os.Environ(), b.env...)
			if out, err := cmd.CombinedOutput(); err != nil {
				if bytes.Contains(out, []byte("gcc")) || bytes.Contains(out, []byte("requires cgo")) {
					t.Skipf("this build needs a C compiler: %s", out)
				}
				t.Fatalf("%v: %s", err, out)
			}
			dump := exec.CommandContext(t.Context(), gotool, "tool", "objdump", "-s", `internal/trap\.`, bin)
			out, err := dump.Output()
			if err != nil {
				t.Fatal(err)
			}
			calls := callGraph(out)
			seen := map[string]bool{}
			for next := slices.Clone(roots); len(next) > 0; {
				fn := next[0]
				next = next[1:]
				if seen[fn] {
					continue
				}
				seen[fn] = true
				targets, ok := calls[fn]
				if !ok {
					t.Errorf("%s is called but not in the dump", fn)
				}
				for _, c := range targets {
					switch {
					case strings.HasPrefix(c, pkg):
						next = append(next, c)
					case !slices.Contains(allowed[b.name], c):
						t.Errorf("%s calls %s", strings.TrimPrefix(fn, pkg), c)
					}
				}
			}
			if len(seen) < 10 {
				t.Errorf("only %d functions found from %v: the check sees too little", len(seen), roots)
			}
		})
	}
}

var (
	textLine = regexp.MustCompile(`^TEXT (\S+?)(?:\(SB\))? `)
	callLine = regexp.MustCompile(`\t(?:CALL|JMP) (\S+?)(?:\(SB\))?\s*$`)
)

// callGraph reads objdump's output: function to what it calls or jumps to
// outside itself. An indirect call is listed by its operand.
func callGraph(dump []byte) map[string][]string {
	calls := map[string][]string{}
	fn := ""
	for sc := bufio.NewScanner(bytes.NewReader(dump)); sc.Scan(); {
		line := sc.Text()
		if m := textLine.FindStringSubmatch(line); m != nil {
			fn = strings.TrimSuffix(m[1], ".abi0")
			if _, ok := calls[fn]; !ok {
				calls[fn] = []string{}
			}
			continue
		}
		m := callLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		target := strings.TrimSuffix(m[1], ".abi0")
		if strings.Contains(line, "\tJMP ") && (strings.HasPrefix(target, "0x") || target == fn) {
			continue // within the function
		}
		calls[fn] = append(calls[fn], target)
	}
	return calls
}
