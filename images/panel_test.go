//go:build images

package images

import (
	"debug/buildinfo"
	"fmt"
	"path/filepath"
	"runtime/debug"
	"slices"
	"testing"
)

// checkPanel checks the panel's image.
func (img *image) checkPanel(t *testing.T, arch string) {
	c := img.config.Config
	if c.Labels["org.opencontainers.image.title"] != "jettison-panel" || c.Labels["org.opencontainers.image.version"] != stamp.version {
		t.Errorf("labels %v", c.Labels)
	}
	if fmt.Sprint(c.Entrypoint) != "[/usr/local/bin/jettison_panel]" || c.User != "1000" || img.config.Architecture != arch {
		t.Errorf("the configuration has %v, user %s, %s", c.Entrypoint, c.User, img.config.Architecture)
	}
	for _, name := range []string{"usr/local/bin/jettison_panel", "etc/ssl/certs/ca-certificates.crt", "etc/passwd"} {
		if h := img.files[name]; h.Header == nil || h.Size == 0 {
			t.Errorf("no %s", name)
		}
	}
	if h := img.files["usr/local/bin/wrapp"]; h.Header != nil {
		t.Error("wrapp is in it")
	}
	info, err := buildinfo.ReadFile(filepath.Join(img.root, "usr/local/bin/jettison_panel"))
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(info.Settings, debug.BuildSetting{Key: "GOARCH", Value: arch}) {
		t.Errorf("the program is for another machine: %v", info.Settings)
	}
}
