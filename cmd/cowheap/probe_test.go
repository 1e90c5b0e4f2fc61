package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/cowheap/cowheap/arena"
	"github.com/cowheap/cowheap/internal/uffd"
)

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args   []string
		status int
		stdout string // a piece of it
		stderr string
	}{
		{nil, exitUsage, "", "cowheap COMMAND"},
		{[]string{"help"}, exitOK, "cowheap COMMAND", ""},
		{[]string{"-h"}, exitOK, "cowheap COMMAND", ""},
		{[]string{"prob"}, exitUsage, "", `no command "prob"`},
		{[]string{"probe", "-h"}, exitOK, "Exit status:", ""},
		{[]string{"probe", "-xml"}, exitUsage, "", "-xml"},
		{[]string{"probe", "everything"}, exitUsage, "", `unexpected argument "everything"`},
		{[]string{"probe", "-guard", "magic"}, exitUsage, "", "userfault, shadow, mprotect, copy"},
		{[]string{"probe"}, exitOK, "Guards", ""},
	} {
		var stdout, stderr bytes.Buffer
		if got := run(tt.args, &stdout, &stderr); got != tt.status {
			t.Errorf("cowheap %q: status %d, want %d; %s", tt.args, got, tt.status, &stderr)
		}
		for _, stream := range []struct {
			name string
			got  string
			want string
		}{{"stdout", stdout.String(), tt.stdout}, {"stderr", stderr.String(), tt.stderr}} {
			if !strings.Contains(stream.got, stream.want) || stream.want == "" && stream.got != "" {
				t.Errorf("cowheap %q: %s is %q, want %q in it", tt.args, stream.name, stream.got, stream.want)
			}
		}
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("disk full") }

func TestFailingOutputIsAFailure(t *testing.T) {
	for _, args := range [][]string{{"probe"}, {"probe", "-json"}} {
		var stderr bytes.Buffer
		if got := run(args, failingWriter{}, &stderr); got != exitFailed || !strings.Contains(stderr.String(), "disk full") {
			t.Errorf("cowheap %q: status %d, %q", args, got, &stderr)
		}
	}
}

// TestJSONKeysAreStable has the schema in full: whoever changes it changes it here, and Schema with it unless fields were
// only added.
func TestJSONKeysAreStable(t *testing.T) {
	r := dockerReport()
	var b bytes.Buffer
	if err := writeJSON(&b, r); err != nil {
		t.Fatal(err)
	}
	var top map[string]any
	if err := json.Unmarshal(b.Bytes(), &top); err != nil {
		t.Fatal(err)
	}
	first := func(key string) map[string]any { return top[key].([]any)[0].(map[string]any) }
	for _, tt := range []struct {
		name string
		got  map[string]any
		want string
	}{
		{"report", top, "default_guard features guards schema system version"},
		{"system", top["system"].(map[string]any), "arch kernel max_map_count os overcommit_memory page_size " +
			"process_hugepage_disabled process_memory_merge process_seccomp_filter transparent_hugepage " +
			"unprivileged_userfaultfd user_id"},
		{"guard", first("guards"), "about name needs reason remedy status"},
		{"feature", first("features"), "about min_kernel name reason remedy status"},
	} {
		if got := strings.Join(slices.Sorted(maps.Keys(tt.got)), " "); got != tt.want {
			t.Errorf("keys of %s:\n got %s\nwant %s", tt.name, got, tt.want)
		}
	}
	if bytes.Contains(b.Bytes(), []byte("null")) {
		t.Errorf("null in %s", &b)
	}
}

// dockerReport is what a container with the default seccomp profile gets.
func dockerReport() *report {
	r := &report{
		Schema: 1, Version: "v0.1.0",
		System: systemReport{
			OS: "linux", Arch: "amd64", Kernel: "6.8.0", PageSize: 4096, UserID: 1000,
			HugePages: "madvise", Overcommit: 0, MaxMapCount: 65530, UnprivilegedUffd: -1, Seccomp: true,
		},
		Features: []featureReport{
			{"userfaultfd", "page faults handled by the program", "5.11", answerNo, "the system call is refused", "give the container /dev/userfaultfd, " +
				strings.Repeat("and then some ", 8)},
			{"sigbus", "faults are signals", "4.14", answerNo, "the system call is refused", "give the container /dev/userfaultfd"},
			{"huge-pages", "huge pages keep protection", "5.7", answerYes, "", ""},
		},
	}
	refused := fmt.Errorf("%w: %w", arena.ErrNotSupported, &uffd.NotSupportedError{Feature: "userfaultfd", Reason: r.Features[0].Reason, Remedy: r.Features[0].Remedy})
	r.Guards = guards([]arena.GuardSupport{
		{Guard: arena.GuardUserfault, Err: refused},
		{Guard: arena.GuardMprotect},
		{Guard: arena.GuardCopy},
	})
	r.DefaultGuard = defaultGuard(r.Guards)
	return r
}

func TestTextIsAlignedAndWrapped(t *testing.T) {
	const want = `Linux 6.8.0 on amd64, pages of 4096 bytes, uid 1000, seccomp filter, cowheap v0.1.0

Guards (how the first write to a page after a snapshot is noticed)
  userfault  no   saves a page at the first write to it, on the thread that writes
                  reason: needs userfaultfd: the system call is refused
                  remedy: give the container /dev/userfaultfd, and then some and then some and then
                          some and then some and then some and then some and then some and then some
  mprotect   yes  as userfault, in larger pieces, where userfaultfd is refused (the default here)
  copy       yes  copies everything in use while writers wait

Features of the kernel
  userfaultfd  no   page faults handled by the program  Linux 5.11
                    reason: the system call is refused
                    remedy: give the container /dev/userfaultfd, and then some and then some and
                            then some and then some and then some and then some and then some and
                            then some
  sigbus       no   faults are signals                  Linux 4.14
                    reason: as userfaultfd
  huge-pages   yes  huge pages keep protection          Linux 5.7

Settings
  transparent_hugepage         madvise  always, madvise: huge pages can be had where asked for
  vm.overcommit_memory         0        2: memory in use must be backed by RAM and swap; reserved address space is free
  vm.max_map_count             65530    limit of mappings; matters to the mprotect guard only
  vm.unprivileged_userfaultfd  unknown  0 is fine: faults inside system calls are not resolved anyway
`
	var b bytes.Buffer
	if err := dockerReport().writeText(&b); err != nil {
		t.Fatal(err)
	}
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", &b, want)
	}
}

func TestGuardsFollowWhatTheArenaSays(t *testing.T) {
	refused := fmt.Errorf("%w: %w", arena.ErrNotSupported, &uffd.NotSupportedError{Feature: "sigbus", Reason: "because", Remedy: "do this"})
	for _, tt := range []struct {
		name            string
		userfault, copy error
		want            map[string]answer
		auto            string
	}{
		{"everything", nil, nil, map[string]answer{"userfault": answerYes, "copy": answerYes}, "userfault"},
		{"no sigbus", refused, nil, map[string]answer{"userfault": answerNo, "copy": answerYes}, "copy"},
		{"out of descriptors", errors.New("too many open files"), nil, map[string]answer{"userfault": answerUnknown, "copy": answerYes}, "copy"},
		{"windows", arena.ErrNotSupported, arena.ErrNotSupported, map[string]answer{"userfault": answerNo, "copy": answerNo}, ""},
	} {
		list := guards([]arena.GuardSupport{
			{Guard: arena.GuardUserfault, Err: tt.userfault}, {Guard: arena.GuardCopy, Err: tt.copy}})
		if got := defaultGuard(list); got != tt.auto {
			t.Errorf("%s: default guard %q, want %q", tt.name, got, tt.auto)
		}
		for _, g := range list {
			if want, ok := tt.want[g.Name]; ok && g.Status != want {
				t.Errorf("%s: guard %s: %s, want %s", tt.name, g.Name, g.Status, want)
			}
			if g.Status != answerYes && g.Reason == "" {
				t.Errorf("%s: guard %s: no reason", tt.name, g.Name)
			}
			if g.Name == "userfault" && tt.userfault == refused && (g.Reason != "needs sigbus: because" || g.Remedy != "do this") {
				t.Errorf("%s: reason %q, remedy %q", tt.name, g.Reason, g.Remedy)
			}
		}
	}
}
