//go:build cosign

package images

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCosign signs with the real cosign, whose path COSIGN has, what publish.sh pushed to a
// registry on loopback. A key of the test and no transparency log take the place of the
// identity and the services that only a workflow on GitHub has; cosign reads both from its
// environment, so that the script is the one that publishes.
func TestCosign(t *testing.T) {
	cosign := os.Getenv("COSIGN")
	if cosign == "" {
		t.Fatal("COSIGN is not set: run make cosign")
	}
	r := newRegistry(t, "scratch")
	dir := t.TempDir()
	// With a key cosign needs no certificate of the services, but asks for their root all the same.
	alone := []string{"COSIGN_PASSWORD=", "HOME=" + dir, "TUF_MIRROR=http://127.0.0.1:1"}
	env := append(slices.Clone(alone), "COSIGN="+cosign, "COSIGN_KEY="+filepath.Join(dir, "cosign.key"),
		"COSIGN_TLOG_UPLOAD=false", "COSIGN_ALLOW_HTTP_REGISTRY=true", "RETRIES=1")
	run := func(args ...string) ([]byte, error) {
		cmd := exec.Command(cosign, args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), alone...)
		var errors bytes.Buffer
		cmd.Stderr = &errors
		out, err := cmd.Output()
		if err != nil {
			t.Logf("cosign %s: %v\n%s", strings.Join(args, " "), err, &errors)
		}
		return out, err
	}
	if _, err := run("generate-key-pair"); err != nil {
		t.Fatal(err)
	}

	digests := "index " + r.pushTiny(t, dir, "index") + "\n"
	for _, arch := range []string{"amd64", "arm64"} {
		digests += arch + " " + r.pushTiny(t, dir, arch) + "\n"
		if err := os.WriteFile(filepath.Join(dir, "sbom-"+arch+".spdx.json"), []byte(`{"spdxVersion":"SPDX-2.3","name":"`+arch+`"}`), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	verify := func(kind, what string, more ...string) ([]byte, error) {
		return run(append(append([]string{kind, "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--allow-http-registry"}, more...),
			r.repository+"@"+fields(digests)[what])...)
	}
	if _, err := verify("verify", "index"); err == nil {
		t.Fatal("verified before it was signed: this proves nothing")
	}
	for range 2 { // a second run of the job signs again
		r.must(t, env, digests, "sign", r.repository, filepath.Join(dir, "sbom"))
	}
	for _, what := range []string{"amd64", "arm64", "index"} {
		out, err := verify("verify", what)
		if err != nil {
			t.Errorf("%s has no signature", what)
			continue
		}
		if !bytes.Contains(out, []byte(fields(digests)[what])) {
			t.Errorf("%s: signed %s", what, out)
		}
	}
	for _, arch := range []string{"amd64", "arm64"} {
		out, err := verify("verify-attestation", arch, "--type", "spdxjson")
		if err != nil {
			t.Errorf("%s has no SBOM attested", arch)
			continue
		}
		var envelope struct{ Payload []byte }
		if err := json.NewDecoder(bytes.NewReader(out)).Decode(&envelope); err != nil {
			t.Fatal(err)
		}
		var statement struct {
			Subject   []struct{ Digest map[string]string }
			Predicate struct{ Name string }
		}
		if err := json.Unmarshal(envelope.Payload, &statement); err != nil {
			t.Fatal(err)
		}
		if statement.Predicate.Name != arch || len(statement.Subject) != 1 || "sha256:"+statement.Subject[0].Digest["sha256"] != fields(digests)[arch] {
			t.Errorf("%s: attested %s", arch, envelope.Payload)
		}
	}
	if _, err := r.publish(t, append(env, "COSIGN_KEY="+filepath.Join(dir, "missing.key")), digests, "sign", r.repository, filepath.Join(dir, "sbom")); err == nil {
		t.Error("signed without a key")
	}

	// The release's binaries, as the workflow signs them.
	sums := filepath.Join(dir, "SHA256SUMS")
	if err := os.WriteFile(sums, []byte("0  wrapp\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := run("sign-blob", "--yes", "--key", "cosign.key", "--tlog-upload=false", "--bundle", sums+".sigstore.json", sums); err != nil {
		t.Error(err)
	}
	if _, err := run("verify-blob", "--key", "cosign.pub", "--insecure-ignore-tlog=true", "--bundle", sums+".sigstore.json", sums); err != nil {
		t.Error(err)
	}
}

// pushTiny pushes an image of one small file, and returns its digest.
func (r registry) pushTiny(t *testing.T, dir, text string) string {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, text), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	layer, tag := filepath.Join(dir, text+".tar"), r.repository+":"+text
	command(t, "tar", "-cf", layer, "-C", dir, text)
	command(t, r.crane, "append", "--oci-empty-base", "-f", layer, "-t", tag)
	return strings.TrimSpace(command(t, r.crane, "digest", tag))
}
