// Check decodes manifests into the types of Kubernetes' API, rejects unknown keys, and prints the
// objects as one JSON array.
package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	var objects []any
	for _, file := range os.Args[1:] {
		text, err := os.ReadFile(file)
		if err != nil {
			fail(file, err)
		}
		for document := range bytes.SplitSeq(text, []byte("\n---\n")) {
			object, err := decode(document)
			if err != nil {
				fail(file, err)
			}
			objects = append(objects, object)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(objects); err != nil {
		fail("stdout", err)
	}
}

func decode(document []byte) (object any, err error) {
	var is metav1.TypeMeta
	if err := yaml.Unmarshal(document, &is); err != nil {
		return nil, err
	}
	switch is.APIVersion + " " + is.Kind {
	case "v1 Secret":
		object = new(corev1.Secret)
	case "v1 ConfigMap":
		object = new(corev1.ConfigMap)
	case "v1 PersistentVolumeClaim":
		object = new(corev1.PersistentVolumeClaim)
	case "apps/v1 Deployment":
		object = new(appsv1.Deployment)
	default:
		return nil, fmt.Errorf("%q of %q is not expected here", is.Kind, is.APIVersion)
	}
	return object, yaml.UnmarshalStrict(document, object)
}

func fail(file string, err error) {
	fmt.Fprintf(os.Stderr, "%s: %v\n", file, err)
	os.Exit(1)
}
