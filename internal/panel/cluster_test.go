package panel

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/config"
	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// TestCluster: a board may be a Redis Cluster, as a file of boards says it.
func TestCluster(t *testing.T) {
	t.Parallel()
	cluster := redistest.StartCluster(t, 3, false)
	dir := t.TempDir()
	addrs := fmt.Sprintf("cluster.addrs = [%q]\n", redistest.Addrs(cluster.Masters)[0])
	files := map[string]string{
		"boards.toml": "[boards.three]\n" + addrs,
		"wrapp.toml": "[redis]\n" + addrs + "[app]\nexecutable = \"/bin/bash\"\nstream_name = \"camera\"\nargs = [\"-c\", \"echo 'hello {{n:5}}'; sleep 1000\"]\n" +
			"[health.pools.lock]\ncap = 10\ndepletion_rate = 5\nreplenish_rate = 1\n",
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	self, _ := os.Executable()
	wrapp := exec.Command(self, filepath.Join(dir, "wrapp.toml"))
	wrapp.Env = append(os.Environ(), be+"=wrapp", "WRAPP_SPOOL_DIR="+dir)
	if err := wrapp.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		wrapp.Process.Signal(os.Interrupt)
		wrapp.Wait()
	})
	boards, err := config.LoadBoards(filepath.Join(dir, "boards.toml"))
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, func(o *Options) { o.Boards = boards })
	p.await("camera", "depleted")
	b := p.open("/app/camera?board=three", 1280, 800, "light")
	b.wait(`document.getElementById("lines").innerText.includes("hello") && document.getElementById("live").textContent.includes("live")`)
	eventually(t, "the value is read", func() bool {
		_, body := p.get("/api/v1/apps/camera")
		return strings.Contains(body, `"values":{"n":"5"}`)
	})
}
