//go:build images

package images

import (
	"debug/buildinfo"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestBinaries: a release's binaries are for the CPUs in their names, and the checksums match.
func TestBinaries(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	cmd := exec.Command("./binaries.sh", dir)
	cmd.Env = append(os.Environ(), "VERSION="+stamp.version, "REVISION="+stamp.revision, "CREATED="+stamp.created)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for name, want := range map[string]string{
		"wrapp-linux-amd64": "GOARCH=amd64", "wrapp-linux-arm64": "GOARM64=v8.0", "wrapp-linux-arm64-v8.2": "GOARM64=v8.2,crypto,lse",
	} {
		info, err := buildinfo.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(info.String(), want) {
			t.Errorf("%s is not built with %s", name, want)
		}
		checkStripped(t, filepath.Join(dir, name))
	}
	if got := command(t, "sh", "-c", `cd "$1" && sha256sum --check SHA256SUMS`, "sh", dir); strings.Count(got, ": OK\n") != 4 {
		t.Errorf("the checksums are of %s", got)
	}
	if got := command(t, "tar", "-tzf", filepath.Join(dir, "licences.tar.gz")); !strings.Contains(got, "THIRD-PARTY.txt") {
		t.Errorf("the licences are %s", got)
	}
}
