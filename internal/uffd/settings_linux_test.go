package uffd

import "testing"

func TestReleaseAtLeast(t *testing.T) {
	for _, tt := range []struct {
		release      string
		major, minor int
		want         bool
	}{
		{"6.18.44-fc", 6, 18, true},
		{"6.18.44-fc", 6, 7, true},
		{"6.18", 6, 19, false},
		{"5.15.0-101-generic", 6, 4, false},
		{"7.0-rc1", 6, 12, true},
		{"6.4+", 6, 4, true},
		{"unknown release", 4, 0, false},
		{"", 0, 1, false},
	} {
		if got := releaseAtLeast(tt.release, tt.major, tt.minor); got != tt.want {
			t.Errorf("%q at least %d.%d: %v", tt.release, tt.major, tt.minor, got)
		}
	}
}

func TestSelected(t *testing.T) {
	for line, want := range map[string]string{
		"always [madvise] never": "madvise",
		"[always] madvise never": "always",
		"":                       "",
		"always [":               "",
	} {
		if got := selected(line); got != want {
			t.Errorf("%q: %q, want %q", line, got, want)
		}
	}
}

func TestReadSettings(t *testing.T) {
	s := ReadSettings()
	if s.Kernel == "" {
		t.Error("no kernel release")
	}
	if s.Overcommit < -1 || s.Overcommit > 2 {
		t.Errorf("vm.overcommit_memory = %d", s.Overcommit)
	}
	switch s.HugePages {
	case "", "always", "madvise", "never":
	default:
		t.Errorf("transparent huge pages: %q", s.HugePages)
	}
	if got := readInt("/no/such/file"); got != -1 {
		t.Errorf("a missing file reads as %d, want -1", got)
	}
}
