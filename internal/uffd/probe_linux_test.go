package uffd

import (
	"errors"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// TestProbes fails where a probe says no to a kernel that is new enough, so that a mistake in a probe cannot pass for a
// missing feature.
func TestProbes(t *testing.T) {
	refused := errors.Is(HaveUserfaultfd(), unix.EPERM) && ReadSettings().Seccomp
	for _, p := range Probes() {
		t.Run(p.Name, func(t *testing.T) {
			err := p.Have()
			if err == nil {
				t.Log("yes")
				return
			}
			if !errors.Is(err, ErrNotSupported) {
				if p.Name == "huge-pages" {
					t.Skip(err) // there may be none left
				}
				t.Fatalf("could not tell: %v", err)
			}
			e, ok := errors.AsType[*NotSupportedError](err)
			if !ok || e.Feature == "" || e.Reason == "" || e.Remedy == "" {
				t.Errorf("%#v does not say feature, reason and remedy", err)
			}
			switch {
			case refused:
				t.Skip(err)
			case p.Name == "device" && os.Geteuid() != 0 && (errors.Is(err, unix.EACCES) || errors.Is(err, unix.ENOENT)):
				t.Skip(err)
			case p.Name == "huge-pages" && (ReadSettings().HugePages == "never" || ReadSettings().HugePages == ""):
				t.Skip(err)
			}
			major, rest := leadingInt(p.MinKernel)
			minor, _ := leadingInt(strings.TrimPrefix(rest, "."))
			if kernelAtLeast(major, minor) {
				t.Errorf("no, on Linux %s: %v", kernelRelease(), err)
			}
		})
	}
}

func TestProbesLeaveNothingBehind(t *testing.T) {
	count := func() int {
		fds, err := os.ReadDir("/proc/self/fd")
		if err != nil {
			t.Skip(err)
		}
		return len(fds)
	}
	runs := []func() error{
		probeUserfaultfd, probeDevice, probeSIGBUS, probeWriteProtect, probeWPUnpopulated,
		probeCopy, probeWPAsync, probePagemapScan, probePoison, probeHugePages,
	}
	if len(runs) != len(Probes()) {
		t.Fatalf("%d of %d probes are tried here", len(runs), len(Probes()))
	}
	for _, run := range runs {
		_ = run() // the first file that can be polled has the runtime open two for its poller
	}
	before := count()
	for _, run := range runs {
		_ = run()
		if after := count(); after != before {
			t.Errorf("%d descriptors before, %d after", before, after)
		}
	}
}

func TestOnlyDefiniteAnswersAreKept(t *testing.T) {
	for _, tt := range []struct {
		name  string
		said  error
		calls int
	}{
		{"yes", nil, 1},
		{"no", &NotSupportedError{Feature: "x"}, 1},
		{"could not tell", unix.EMFILE, 3},
	} {
		calls := 0
		a := answer{probe: func() error { calls++; return tt.said }}
		for range 3 {
			if err := a.have(); err != tt.said {
				t.Errorf("%s: %v, want %v", tt.name, err, tt.said)
			}
		}
		if calls != tt.calls {
			t.Errorf("%s: %d calls, want %d", tt.name, calls, tt.calls)
		}
	}
}

// What the probes try must fail on a descriptor that lacks what they try, as it would on a kernel that promises and does
// not keep.
func TestTrialsSeeABrokenPromise(t *testing.T) {
	mustOpen(t, FeatureWPAsync)
	p := mustPagemap(t)
	for _, tt := range []struct {
		name string
		want Feature
		mode RegisterMode
		try  func(*FD, *scratch) error
	}{
		{"write protection that the kernel lifts", FeatureWPAsync, ModeWP, holdsAndLifts},
		{"untouched pages left out", FeatureWriteProtect, ModeWP, holdsUntouched},
		{"missing pages that do not fault", FeatureWriteProtect, ModeWP, bringsIn},
		{"writes that fault", FeatureWriteProtect | FeatureWPUnpopulated, ModeWP, kernelLifts},
	} {
		if err := trial(tt.want, tt.mode, 1, tt.try); !errors.Is(err, ErrNotSupported) {
			t.Errorf("%s: %v, want ErrNotSupported", tt.name, err)
		}
	}
	writtenBefore := func(fd *FD, m *scratch) error {
		m.bytes[0] = 1 // before it is armed: the first scan must not see it
		return p.findsWritten(fd, m)
	}
	if err := trial(FeatureWPAsync, ModeWP, 3, writtenBefore); err != nil {
		t.Errorf("a page written before arming: %v", err)
	}
	if err := trial(FeatureWPAsync, ModeWP, 1, func(fd *FD, m *scratch) error {
		return stillProtected(p, m, 1, "nothing")
	}); !errors.Is(err, ErrNotSupported) {
		t.Errorf("a page that lost its protection: %v, want ErrNotSupported", err)
	}
}

func TestRefusalsNameTheRemedy(t *testing.T) {
	for _, tt := range []struct {
		errno unix.Errno
		want  []string
	}{
		{unix.EPERM, []string{"seccomp", "/dev/userfaultfd", "vm.unprivileged_userfaultfd", "operation not permitted"}},
		{unix.ENOSYS, []string{"gVisor", "CONFIG_USERFAULTFD"}},
		{unix.EINVAL, []string{"5.11", "UFFD_USER_MODE_ONLY"}},
	} {
		err := refusal(tt.errno, errors.New("open /dev/userfaultfd: no such file or directory"))
		if !errors.Is(err, ErrNotSupported) || !errors.Is(err, tt.errno) {
			t.Errorf("%v: %v is not both ErrNotSupported and the errno", tt.errno, err)
		}
		for _, want := range tt.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%v: %q does not mention %s", tt.errno, err, want)
			}
		}
	}
	if err := refusal(unix.EMFILE, nil); errors.Is(err, ErrNotSupported) || !errors.Is(err, unix.EMFILE) {
		t.Errorf("out of descriptors: %v is not a plain EMFILE", err)
	}
}

func TestHugePagesOffSaysWhichSwitch(t *testing.T) {
	for _, tt := range []struct {
		s    Settings
		want string
	}{
		{Settings{HugePages: ""}, "built without"},
		{Settings{HugePages: "never"}, "is never"},
		{Settings{HugePages: "madvise", HugePagesDisabled: true}, "PR_SET_THP_DISABLE"},
	} {
		err := hugePagesOff(tt.s)
		if !errors.Is(err, ErrNotSupported) || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: %v, want %q", tt.s, err, tt.want)
		}
	}
	if err := hugePagesOff(Settings{HugePages: "madvise"}); err != nil {
		t.Errorf("madvise: %v", err)
	}
}
