package fleet

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

const examples = "../../examples/prometheus"

// exampleMetrics returns the metrics named in a text, and checks that we print each.
func exampleMetrics(t *testing.T, text string) map[string]bool {
	t.Helper()
	var printed bytes.Buffer
	if err := WritePrometheus(&printed, nil); err != nil {
		t.Fatal(err)
	}
	used := make(map[string]bool)
	for _, name := range regexp.MustCompile(`\bwrapp_app_\w+`).FindAllString(text, -1) {
		used[name] = true
		if !strings.Contains(printed.String(), "# TYPE "+name+" ") {
			t.Errorf("there is no metric %s", name)
		}
	}
	return used
}

// promtool runs promtool with files of a directory.
func promtool(t *testing.T, dir string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("promtool")
	if err != nil {
		t.Skipf("%v; `make tools` installs it", err)
	}
	cmd := exec.Command(path, args...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Errorf("promtool %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// TestAlerts: the rules use existing metrics, and do what alerts_test.yaml says.
func TestAlerts(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(examples, "alerts.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if used := exampleMetrics(t, string(text)); len(used) < 8 {
		t.Errorf("only %d metrics are used: %v", len(used), used)
	}
	promtool(t, examples, "check", "rules", "alerts.yaml")
	promtool(t, examples, "test", "rules", "alerts_test.yaml")
}

// A dashboard is the part of Grafana's format that the example uses.
type dashboard struct {
	Title         string `json:"title"`
	UID           string `json:"uid"`
	SchemaVersion int    `json:"schemaVersion"`
	Templating    struct {
		List []struct {
			Name string `json:"name"`
			Type string `json:"type"`
		} `json:"list"`
	} `json:"templating"`
	Panels []struct {
		ID         int    `json:"id"`
		Type       string `json:"type"`
		Title      string `json:"title"`
		Datasource source `json:"datasource"`
		GridPos    struct{ X, Y, W, H int }
		Targets    []struct {
			RefID      string `json:"refId"`
			Datasource source `json:"datasource"`
			Expr       string `json:"expr"`
		} `json:"targets"`
	} `json:"panels"`
}

type source struct {
	Type string `json:"type"`
	UID  string `json:"uid"`
}

// TestDashboard: panels do not overlap, and every expression is valid and uses existing
// metrics.
func TestDashboard(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile(filepath.Join(examples, "dashboard.json"))
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if d.Title == "" || d.UID == "" || d.SchemaVersion < 30 || len(d.Templating.List) != 2 {
		t.Errorf("%+v", d)
	}
	wanted := source{"prometheus", "${datasource}"}
	covered := make(map[[2]int]string)
	ids := make(map[int]bool)
	rules := "groups:\n- name: dashboard\n  rules:\n"
	for _, p := range d.Panels {
		if p.ID == 0 || ids[p.ID] || p.Type == "" || p.Title == "" || len(p.Targets) == 0 || p.Datasource != wanted {
			t.Errorf("panel %d, %q: %+v", p.ID, p.Title, p)
		}
		ids[p.ID] = true
		if p.GridPos.X < 0 || p.GridPos.W <= 0 || p.GridPos.H <= 0 || p.GridPos.X+p.GridPos.W > 24 {
			t.Errorf("%s is at %+v", p.Title, p.GridPos)
		}
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other := covered[[2]int{x, y}]; other != "" {
					t.Fatalf("%s covers %s", p.Title, other)
				}
				covered[[2]int{x, y}] = p.Title
			}
		}
		for i, target := range p.Targets {
			if target.RefID == "" || target.Datasource != wanted || target.Expr == "" {
				t.Errorf("%s: %+v", p.Title, target)
			}
			expr := strings.NewReplacer("$__rate_interval", "1m", "$app", ".*").Replace(target.Expr)
			quoted, err := json.Marshal(expr)
			if err != nil {
				t.Fatal(err)
			}
			rules += fmt.Sprintf("  - record: dashboard:panel%d:%d\n    expr: %s\n", p.ID, i, quoted)
		}
	}
	if used := exampleMetrics(t, string(text)); len(used) != len(metrics) {
		t.Errorf("%d of %d metrics are shown: %v", len(used), len(metrics), used)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "rules.yaml"), []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	promtool(t, dir, "check", "rules", "rules.yaml")
}
