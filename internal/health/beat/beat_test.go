package beat

import (
	"os"
	"slices"
	"strings"
	"testing"
)

func TestSources(t *testing.T) {
	t.Parallel()
	for source, asks := range map[string]bool{
		"marker": false, "notify": false, "output": false, "http://h": true, "https://h:1/x?y": true, "tcp://[::1]:80": true, "exec:a 'b c'": true,
	} {
		if !Valid(source) || (ProbeOf(source) != nil) != asks {
			t.Errorf("%s: valid is %v, has a probe: %v", source, Valid(source), ProbeOf(source) != nil)
		}
	}
	for _, source := range []string{
		"", "Marker", "marker:", "output ", "udp://h:1", "http://", "http://u:p@h", "http://h:0", "HTTP://h", "https:h",
		"tcp://h", "tcp://:1", "tcp://h:65536", "exec:", "exec: ", "exec:''", "exec:'a", "exec:a \x00",
	} {
		if Valid(source) {
			t.Errorf("%q is valid", source)
		}
	}
}

// TestTable: every row has the functions that its kind needs, and its form selects it.
func TestTable(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/health.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range sources {
		if (s.valid == nil) != (s.probe == nil) || s.meaning == "" || !strings.HasPrefix(s.form, s.name) {
			t.Errorf("%s: the row is incomplete", s.name)
		}
		if !slices.Contains(Forms(), s.form) || !strings.Contains(Reference(), "`"+s.form+"` ("+s.meaning+")") {
			t.Errorf("Forms or Reference lacks %s", s.form)
		}
		if !strings.Contains(string(page), "`\""+s.name) {
			t.Errorf("docs/health.md lacks %s", s.form)
		}
	}
}
