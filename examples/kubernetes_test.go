package examples

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/redistest"
)

// A manifest has the tested fields of the objects in camera.yaml.
type manifest struct {
	Kind     string
	Metadata struct{ Name string }
	Data     map[string]string
	Spec     struct {
		Strategy struct{ Type string }
		Template struct {
			Spec struct {
				SecurityContext struct {
					RunAsNonRoot bool
					RunAsUser    int
				}
				Containers []struct {
					Command                                     []string
					StartupProbe, LivenessProbe, ReadinessProbe struct{ Exec struct{ Command []string } }
					VolumeMounts                                []struct{ Name, MountPath string }
				}
				Volumes []struct {
					Name                  string
					ConfigMap             struct{ Name string }
					Secret                struct{ SecretName string }
					PersistentVolumeClaim struct{ ClaimName string }
				}
			}
		}
	}
}

// TestKubernetes decodes the manifest into the API's types, and runs the commands of the container
// and its probes with the Redis user that `wrapp acl` describes.
func TestKubernetes(t *testing.T) {
	t.Parallel()
	need(t, "go")
	check := exec.Command("go", "run", "-buildvcs=false", ".", "../camera.yaml")
	check.Dir = "kubernetes/check"
	check.Stderr = t.Output()
	text, err := check.Output()
	if err != nil {
		t.Fatal(err)
	}
	var objects []manifest
	if err := json.Unmarshal(text, &objects); err != nil {
		t.Fatal(err)
	}
	names, configuration, app := make(map[string]bool), "", manifest{}
	for _, o := range objects {
		names[o.Kind+" "+o.Metadata.Name] = true
		switch o.Kind {
		case "ConfigMap":
			configuration = o.Data["config.toml"]
		case "Deployment":
			app = o
		}
	}
	pod := &app.Spec.Template.Spec
	if !pod.SecurityContext.RunAsNonRoot || pod.SecurityContext.RunAsUser == 0 || app.Spec.Strategy.Type != "Recreate" || len(pod.Containers) != 1 {
		t.Fatalf("%+v", app)
	}
	container := pod.Containers[0]
	volumes := make(map[string]bool)
	for _, v := range pod.Volumes {
		volumes[v.Name] = true
		for kind, name := range map[string]string{"ConfigMap": v.ConfigMap.Name, "Secret": v.Secret.SecretName, "PersistentVolumeClaim": v.PersistentVolumeClaim.ClaimName} {
			if name != "" && !names[kind+" "+name] {
				t.Errorf("volume %s: there is no %s %s", v.Name, kind, name)
			}
		}
	}
	for _, m := range container.VolumeMounts {
		if !volumes[m.Name] {
			t.Errorf("%s: there is no volume %s", m.MountPath, m.Name)
		}
	}

	s := redistest.Start(t)
	dir := t.TempDir()
	rules := strings.Fields(strings.Replace(output(t, "wrapp", "acl", "camera"), "PASSWORD", "pw", 1))
	rules[2] = "camera"
	args := make([]any, 0, len(rules))
	for _, r := range rules[1:] {
		args = append(args, r)
	}
	if _, err := s.Dial(0).Do(rules[0], args...); err != nil {
		t.Fatal(err)
	}
	for name, text := range map[string]string{
		"password": "pw\n",
		"camera":   "#!/bin/sh\nwhile :; do echo frame; sleep 0.1; done\n",
		"config.toml": strings.NewReplacer(
			`host = "redis"`, fmt.Sprintf("port = %d", s.Port), "/run/secrets/redis", dir, "/usr/bin/camera", filepath.Join(dir, "camera"), "/var/lib/wrapp", filepath.Join(dir, "spool"),
		).Replace(configuration),
	} {
		if err := redistest.WriteProgram(filepath.Join(dir, name), []byte(text)); err != nil {
			t.Fatal(err)
		}
	}
	of := func(command []string) *exec.Cmd {
		command = strings.Fields(strings.ReplaceAll(strings.Join(command, " "), "/etc/wrapp", dir))
		return exec.Command(command[0], command[1:]...)
	}
	output(t, "wrapp", "check", filepath.Join(dir, "config.toml"))
	wrapp := of(container.Command)
	begin(t, wrapp)
	probes := map[string][]string{"startup": container.StartupProbe.Exec.Command, "liveness": container.LivenessProbe.Exec.Command, "readiness": container.ReadinessProbe.Exec.Command}
	for name, probe := range probes {
		eventually(t, name+" probe succeeds", func() bool { return of(probe).Run() == nil })
	}
	kill(wrapp)
	for name, probe := range probes {
		eventually(t, name+" probe fails after the app's end", func() bool { return of(probe).Run() != nil })
	}
	if logs := output(t, "wrapp", "logs", "--config", filepath.Join(dir, "config.toml"), "camera"); !strings.Contains(logs, " out    frame\n") {
		t.Error(logs)
	}
}
