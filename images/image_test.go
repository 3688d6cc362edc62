//go:build images

package images

import (
	"archive/tar"
	"debug/buildinfo"
	"debug/elf"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// stamp has the version information for the builds.
var stamp = struct{ version, revision, created, source string }{
	"v1.2.3-rehearsal", strings.Repeat("0123456789", 4), "2026-01-02T03:04:05Z", "https://github.com/somebody/a-fork",
}

// TestImages builds and enters every image. With LAYOUTS it checks existing images instead:
// LAYOUTS/VARIANT-ARCH, for this machine's architecture, built with VERSION, REVISION, CREATED
// and SOURCE.
func TestImages(t *testing.T) {
	archs := []string{"amd64", "arm64"}
	layouts := os.Getenv("LAYOUTS")
	if layouts != "" {
		archs = []string{runtime.GOARCH}
		stamp.version, stamp.revision, stamp.created = os.Getenv("VERSION"), os.Getenv("REVISION"), os.Getenv("CREATED")
		stamp.source = os.Getenv("SOURCE")
	}
	t.Run("built", func(t *testing.T) {
		for _, arch := range archs {
			t.Run(arch, func(t *testing.T) {
				t.Parallel()
				if layouts != "" {
					checkLayouts(t, layouts, arch)
					return
				}
				s := newStore(t, arch)
				for _, variant := range published {
					t.Run(variant, func(t *testing.T) {
						layouts := s.buildTwice(t, variant, arch)
						img := open(t, layouts[0])
						img.check(t, variant, arch)
						if variant == "ubuntu22" {
							t.Run("zstd", func(t *testing.T) { img.checkZstd(t, open(t, layouts[0]+"-zstd")) })
						}
						t.Run("again", func(t *testing.T) { img.checkSame(t, open(t, layouts[1])) })
					})
				}
			})
		}
	})
	if layouts != "" {
		return
	}
	for _, variant := range published {
		t.Run("published "+variant, func(t *testing.T) { t.Parallel(); rehearse(t, variant) })
	}
	t.Run("workflow", func(t *testing.T) { t.Parallel(); rehearseWorkflow(t) })
}

// checkLayouts checks existing images.
func checkLayouts(t *testing.T, layouts, arch string) {
	found := 0
	for _, variant := range published {
		layout := filepath.Join(layouts, variant+"-"+arch)
		if _, err := os.Stat(layout); err == nil {
			found++
			t.Run(variant, func(t *testing.T) { open(t, layout).check(t, variant, arch) })
		}
	}
	if found == 0 {
		t.Errorf("no image for %s in %s", arch, layouts)
	}
}

func (img *image) check(t *testing.T, variant, arch string) {
	t.Logf("%s for %s: %.1f MB compressed", variant, arch, float64(img.size)/1e6)
	if variant == "panel" {
		img.checkPanel(t, arch)
		return
	}
	t.Run("config", func(t *testing.T) { img.checkConfig(t, variant, arch) })
	t.Run("files", func(t *testing.T) { img.checkFiles(t, variant) })
	t.Run("binary", func(t *testing.T) { img.checkBinary(t, arch) })
	t.Run("tools", func(t *testing.T) { img.checkTools(t, variant, arch) })
	t.Run("run", func(t *testing.T) { img.checkRun(t, variant, arch) })
}

func (img *image) checkConfig(t *testing.T, variant, arch string) {
	c := img.config.Config
	want := map[string]string{
		"title": "jettison-base-" + variant, "source": stamp.source,
		"licenses": "GPL-3.0-only", "version": stamp.version, "revision": stamp.revision, "created": stamp.created,
		"base.name": map[string]string{"scratch": "scratch", "ubuntu22": "ubuntu:22.04"}[variant],
	}
	for name, value := range want {
		if got := c.Labels["org.opencontainers.image."+name]; got != value {
			t.Errorf("label %s is %q, want %q", name, got, value)
		}
	}
	digests := map[string]string{"jettison-base.builder.digest": c.Labels["jettison-base.builder.digest"]}
	if variant != "scratch" {
		digests["org.opencontainers.image.base.digest"] = c.Labels["org.opencontainers.image.base.digest"]
	}
	for label, digest := range digests {
		if !strings.HasPrefix(digest, "sha256:") {
			t.Errorf("label %s is %q", label, digest)
		}
	}
	entrypoint, cmd, user := []string{"/usr/local/bin/wrapp"}, []string(nil), "1000"
	if variant != "scratch" {
		entrypoint, cmd, user = nil, []string{"/bin/bash"}, "1000"
	}
	for _, pair := range [][2]string{
		{img.config.Architecture, arch},
		{c.User, user},
		{c.WorkingDir, "/home/archer"},
		{c.StopSignal, "SIGTERM"},
		{fmt.Sprint(c.Entrypoint), fmt.Sprint(entrypoint)},
		{fmt.Sprint(c.Cmd), fmt.Sprint(cmd)},
	} {
		if pair[0] != pair[1] {
			t.Errorf("the configuration has %q, want %q", pair[0], pair[1])
		}
	}
}

func (img *image) checkFiles(t *testing.T, variant string) {
	there := []string{"usr/local/bin/wrapp", "etc/ssl/certs/ca-certificates.crt", "usr/share/doc/ca-certificates/copyright"}
	if variant != "scratch" {
		there = append(there, "usr/share/doc/gdb/copyright")
	}
	for _, name := range there {
		if h := img.files[name]; h.Header == nil || h.Size == 0 {
			t.Errorf("no %s", name)
		}
	}
	if h := img.files["home/archer"]; h.Header == nil || h.Uid != 1000 || h.Gid != 1000 {
		t.Errorf("/home/archer is not archer's: %+v", h)
	}
	if h := img.files["var/lib/wrapp"]; h.Header == nil || h.Uid != 1000 || h.Gid != 0 || h.FileInfo().Mode().Perm() != 0o775 {
		t.Errorf("/var/lib/wrapp is not archer's and the group root's: %+v", h)
	}
	if h := img.files["tmp"]; h.Header == nil || h.FileInfo().Mode()&os.ModeSticky == 0 || h.FileInfo().Mode().Perm() != 0o777 {
		t.Errorf("/tmp is %+v", h)
	}
	// The two tools are one binary.
	if h := img.files["usr/local/bin/jettison_health"]; h.Header == nil || h.Typeflag != tar.TypeSymlink || h.Linkname != "wrapp" {
		t.Errorf("jettison_health is no link to wrapp: %+v", h)
	}
	var more, left []string
	for name, h := range img.files {
		const special = os.ModeSetuid | os.ModeSetgid
		if h.Typeflag == tar.TypeReg && h.FileInfo().Mode()&special != 0 && (variant == "scratch" || img.layers[0][name].Header == nil) {
			more = append(more, name)
		}
		for _, dir := range []string{"var/cache/", "var/log/", "var/lib/apt/lists/", "tmp/", "var/tmp/", "root/.cache/", "home/archer/.cache/", "usr/share/doc/", "usr/share/man/"} {
			if h.Typeflag == tar.TypeReg && strings.HasPrefix(name, dir) && filepath.Base(name) != "copyright" && filepath.Dir(name) != "usr/share/doc/wrapp" {
				left = append(left, name)
			}
		}
		if strings.HasPrefix(name, "etc/") && strings.HasSuffix(name, "-") {
			left = append(left, name)
		}
	}
	if more != nil {
		t.Errorf("setuid or setgid, and not in the base: %v", more)
	}
	if left != nil {
		slices.Sort(left)
		t.Errorf("%d useless files are left: %v", len(left), left[:min(len(left), 20)])
	}
	// Packages create users, too (redis-tools does), with the day of the build.
	if shadow, err := os.ReadFile(filepath.Join(img.root, "etc/shadow")); variant != "scratch" {
		for line := range strings.Lines(string(shadow)) {
			if entry := strings.Split(line, ":"); len(entry) < 3 || entry[2] != "19103" {
				t.Errorf("the user has the day of the build: %s", line)
			}
		}
		if err != nil {
			t.Error(err)
		}
	}
	if variant == "scratch" && img.size > 10e6 {
		t.Errorf("%d bytes compressed, want at most 10 MB", img.size)
	}
}

func (img *image) checkBinary(t *testing.T, arch string) {
	name := filepath.Join(img.root, "usr/local/bin/wrapp")
	info, err := buildinfo.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"CGO_ENABLED": "0", "-trimpath": "true", "-tags": "netgo", "GOARCH": arch, "GOOS": "linux"}
	if arch == "arm64" {
		want["GOARM64"] = "v8.2,crypto,lse"
	}
	got := map[string]string{}
	for _, s := range info.Settings {
		got[s.Key] = s.Value
	}
	for key, value := range want {
		if got[key] != value {
			t.Errorf("%s is %q, want %q", key, got[key], value)
		}
	}
	checkStripped(t, name)
	img.checkLicences(t, info)
	if arch != "arm64" {
		return
	}
	code := command(t, "aarch64-linux-gnu-objdump", "--disassemble", name)
	for _, instruction := range []string{"ldaddal", "casal", "swpal", "aese", "sha256h", "pmull"} {
		if !strings.Contains(code, "\t"+instruction) {
			t.Errorf("no %s in the code", instruction)
		}
	}
	// The runtime has one for C that calls Go; without lse there are hundreds.
	if n := strings.Count(code, "\tldaxr"); n > 1 {
		t.Errorf("%d loops with ldaxr are in the code: it does not use LSE", n)
	}
}

// checkLicences: the image has our licence, and a notice for Go and each module in the binary.
func (img *image) checkLicences(t *testing.T, info *buildinfo.BuildInfo) {
	dir := filepath.Join(img.root, "usr/share/doc/wrapp")
	ours, err := os.ReadFile(filepath.Join(dir, "LICENSE.txt"))
	if err != nil || string(ours) != read(t, "../LICENSE.txt") {
		t.Errorf("LICENSE.txt is not ours: %v", err)
	}
	notices := read(t, filepath.Join(dir, "THIRD-PARTY.txt"))
	titles := []string{"==== Go " + info.GoVersion + ": LICENSE ===="}
	for _, dep := range info.Deps {
		titles = append(titles, "==== "+dep.Path+" "+dep.Version+": LICENSE")
	}
	for _, title := range titles {
		if _, text, ok := strings.Cut(notices, title); !ok || len(text) < 500 {
			t.Errorf("THIRD-PARTY.txt has no text for %s", title)
		}
	}
	if len(info.Deps) < 3 {
		t.Errorf("the binary names %d modules: this proves nothing", len(info.Deps))
	}
}

// checkStripped looks at the sections, because go version -m does not show -ldflags.
func checkStripped(t *testing.T, name string) {
	binary, err := elf.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer binary.Close()
	for _, s := range binary.Sections {
		if s.Type == elf.SHT_SYMTAB || strings.HasPrefix(s.Name, ".debug") || strings.HasPrefix(s.Name, ".zdebug") {
			t.Errorf("%s is not stripped: it has %s", name, s.Name)
		}
	}
	for _, p := range binary.Progs {
		if p.Type == elf.PT_INTERP || p.Type == elf.PT_DYNAMIC {
			t.Errorf("%s is not static", name)
		}
	}
}

func (img *image) checkTools(t *testing.T, variant, arch string) {
	version := fmt.Sprintf("%s %s %s linux/%s go", stamp.version, stamp.revision, stamp.created, arch)
	if got := img.output(t, "wrapp", "version"); !strings.HasPrefix(got, "wrapp "+version) {
		t.Errorf("wrapp version: %q, want wrapp %s…", got, version)
	}
	if got := img.output(t, "jettison_health", "--version"); !strings.HasPrefix(got, "jettison_health "+version) {
		t.Errorf("jettison_health --version: %q, want jettison_health %s…", got, version)
	}
	if arch == "arm64" {
		img.checkOldCPU(t)
	}
	if variant == "scratch" {
		return
	}
	if got := img.output(t, "bash", "-c", `id -un; id -u; echo ~; test -r /etc/ssl/certs/ca-certificates.crt; jq -nr '"a" + "b"'; redis-cli --version; gdbserver --version | head -1`); !strings.HasPrefix(got, "archer\n1000\n/home/archer\nab\nredis-cli ") || !strings.Contains(got, "gdbserver") {
		t.Errorf("the tools say %q", got)
	}
	if got := img.output(t, "gdb", "-nx", "-batch", "-ex", "print 6*7"); !strings.Contains(got, "$1 = 42") {
		t.Errorf("gdb says %q", got)
	}
	if arch == runtime.GOARCH { // qemu's user mode lacks ptrace
		got := img.output(t, "gdb", "-nx", "-batch", "-ex", "set startup-with-shell off", "-ex", "catch syscall exit_group", "-ex", "run", "-ex", "backtrace", "-ex", "continue", "/bin/true")
		if !strings.Contains(got, "#0 ") || !strings.Contains(got, "exited normally") {
			t.Errorf("gdb debugs nothing: %s", got)
		}
	}
}

// checkOldCPU: a CPU without the build's instructions cannot run it. qemu exits with the signal
// that the program would get.
func (img *image) checkOldCPU(t *testing.T) {
	if runtime.GOARCH == "arm64" {
		return // a real CPU cannot be chosen
	}
	emulator := "qemu-aarch64-static"
	if _, err := exec.LookPath(emulator); err != nil {
		emulator = "qemu-aarch64" // since qemu 9.1 this one is static, too
	}
	for cpu, want := range map[string]int{"cortex-a76": 0, "cortex-a72": 128 + int(syscall.SIGILL)} {
		// A shell turns signals into a status like docker's.
		cmd := exec.Command("sh", "-c", `"$@"; exit $?`, "sh", emulator, "-cpu", cpu, filepath.Join(img.root, "usr/local/bin/wrapp"), "version")
		cmd.Dir = t.TempDir()
		text, _ := cmd.CombinedOutput()
		if got := cmd.ProcessState.ExitCode(); got != want {
			t.Errorf("%s: status %d, want %d: %s", cpu, got, want, text)
		}
	}
}

// checkRun runs an app under wrapp as process 1, with a mounted configuration and a read-only
// root.
func (img *image) checkRun(t *testing.T, variant, arch string) {
	server := redistest.Start(t)
	dir := t.TempDir()
	app := filepath.Join(dir, "app")
	build := exec.Command("go", "build", "-buildvcs=false", "-o", app, "./testdata/app")
	build.Env = append(os.Environ(), "CGO_ENABLED=0", "GOARCH="+arch)
	if text, err := build.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	config := filepath.Join(dir, "config.toml")
	args := `"Europe/Berlin"`
	if variant != "scratch" {
		args = "" // Ubuntu's image has no time zones
	}
	text := fmt.Sprintf("[redis]\nhost = \"127.0.0.1\"\nport = %d\n[app]\nexecutable = \"/app\"\nargs = [%s]\nstream_name = \"inside\"\n[health.pools.work]\ninit = 10\ncap = 10\n", server.Port, args)
	if err := os.WriteFile(config, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	r := img.enter(t, entry{
		mounts: map[string]string{"app": app, "config.toml": config},
		args:   []string{"/usr/local/bin/wrapp", "/config.toml"},
	})
	if r.status != 7 {
		t.Errorf("status %d, want the app's 7\n%s%s", r.status, r.stdout, r.stderr)
	}
	if got := server.Messages("logs:app:inside:info"); !slices.Contains(got, "all there") {
		t.Errorf("the stream has %q", got)
	}
	got := img.output(t, "jettison_health", "--redis", server.URL(), "--all", "--format", "json")
	if !strings.Contains(got, "work") {
		t.Errorf("jettison_health says %q", got)
	}
}

// checkZstd: the image compressed with zstd has the same contents.
func (img *image) checkZstd(t *testing.T, packed *image) {
	if !slices.Equal(img.config.RootFS.DiffIDs, packed.config.RootFS.DiffIDs) || !maps.EqualFunc(img.files, packed.files, func(a, b file) bool { return describe(a) == describe(b) }) {
		t.Error("with zstd the contents differ")
	}
	if packed.digest == img.digest {
		t.Error("it is not compressed with zstd")
	}
	t.Logf("with zstd %.1f MB", float64(packed.size)/1e6)
}

// checkSame: two builds without a shared cache give the same layers.
func (img *image) checkSame(t *testing.T, again *image) {
	if slices.Equal(img.config.RootFS.DiffIDs, again.config.RootFS.DiffIDs) {
		return
	}
	if len(img.layers) != len(again.layers) {
		t.Fatalf("%d layers, then %d", len(img.layers), len(again.layers))
	}
	for i, layer := range img.layers {
		both := maps.Clone(layer)
		maps.Copy(both, again.layers[i])
		for name := range both {
			if one, two := describe(layer[name]), describe(again.layers[i][name]); one != two {
				t.Errorf("layer %d: %s is %s, then %s", i, name, one, two)
			}
		}
	}
}

// describe returns everything that a layer records of a file. Files that buildah mounts over
// have the time of the build, and no build step can set it: that time is left out.
func describe(f file) string {
	if f.Header == nil {
		return "not there"
	}
	when := f.ModTime
	if slices.Contains([]string{"etc/hosts", "etc/resolv.conf", "run"}, f.Name) {
		when = time.Time{}
	}
	return fmt.Sprint(f.Typeflag, f.Linkname, f.Mode, f.Uid, f.Gid, f.Size, when.UnixNano(), f.sum)
}
