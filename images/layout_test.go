//go:build images

package images

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
)

// An image is the image of an OCI layout on disk.
type image struct {
	digest string // of the manifest
	config struct {
		Architecture string `json:"architecture"`
		Config       struct {
			User, WorkingDir, StopSignal string
			Env, Entrypoint, Cmd         []string
			Labels                       map[string]string
		} `json:"config"`
		RootFS struct {
			DiffIDs []string `json:"diff_ids"`
		} `json:"rootfs"`
	}
	size   int64             // of the layers, compressed, in bytes
	layers []map[string]file // per layer, by path without a leading slash
	files  map[string]file   // after all layers
	root   string            // the directory of the unpacked files
}

// A file is an entry of a layer, with the checksum of its contents.
type file struct {
	*tar.Header
	sum string
}

type descriptor struct {
	MediaType string `json:"mediaType"`
	Digest    string `json:"digest"`
	Size      int64  `json:"size"`
}

// open reads an OCI layout and unpacks the layers, with owners and modes.
func open(t *testing.T, layout string) *image {
	t.Helper()
	img := &image{files: map[string]file{}, root: filepath.Join(t.TempDir(), "root")}
	if err := img.read(layout); err != nil {
		t.Fatal(err)
	}
	return img
}

func (img *image) read(layout string) error {
	var index struct{ Manifests []descriptor }
	if err := readJSON(filepath.Join(layout, "index.json"), &index); err != nil {
		return err
	}
	if len(index.Manifests) != 1 {
		return fmt.Errorf("%s: %d images, want one", layout, len(index.Manifests))
	}
	img.digest = index.Manifests[0].Digest
	var manifest struct {
		Config descriptor
		Layers []descriptor
	}
	if err := readJSON(blob(layout, img.digest), &manifest); err != nil {
		return err
	}
	if err := readJSON(blob(layout, manifest.Config.Digest), &img.config); err != nil {
		return err
	}
	if err := os.Mkdir(img.root, 0o755); err != nil {
		return err
	}
	for _, layer := range manifest.Layers {
		img.size += layer.Size
		if err := img.apply(blob(layout, layer.Digest), strings.HasSuffix(layer.MediaType, "+zstd")); err != nil {
			return fmt.Errorf("layer %s: %w", layer.Digest, err)
		}
	}
	return nil
}

func blob(layout, digest string) string {
	return filepath.Join(layout, "blobs", strings.Replace(digest, ":", "/", 1))
}

func readJSON(name string, v any) error {
	text, err := os.ReadFile(name)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, v)
}

// apply unpacks one layer over those before it.
func (img *image) apply(name string, zstd bool) error {
	unpack := exec.Command("gzip", "--decompress", "--stdout")
	if zstd {
		unpack = exec.Command("zstd", "--decompress", "--stdout", "--quiet")
	}
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	unpack.Stdin = f
	text, err := unpack.StdoutPipe()
	if err != nil {
		return err
	}
	if err := unpack.Start(); err != nil {
		return err
	}
	return errors.Join(img.applyTar(text), drain(text), unpack.Wait())
}

// drain reads and discards the bytes after the end of an archive.
func drain(r io.Reader) error {
	_, err := io.Copy(io.Discard, r)
	return err
}

func (img *image) applyTar(text io.Reader) error {
	layer := map[string]file{}
	img.layers = append(img.layers, layer)
	for r := tar.NewReader(text); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		h.Name = strings.TrimPrefix(path.Clean("/"+h.Name), "/")
		if dir, base := path.Split(h.Name); strings.HasPrefix(base, ".wh.") {
			img.remove(dir, strings.TrimPrefix(base, ".wh."))
			continue
		}
		sum := sha256.New()
		if err := img.unpack(h, io.TeeReader(r, sum)); err != nil {
			return fmt.Errorf("%s: %w", h.Name, err)
		}
		f := file{h, fmt.Sprintf("%x", sum.Sum(nil))}
		layer[h.Name], img.files[h.Name] = f, f
	}
}

// remove applies a whiteout: of one name, or of all contents of a directory.
func (img *image) remove(dir, base string) {
	gone := path.Join(dir, base)
	if base == ".wh..opq" {
		gone = strings.TrimSuffix(dir, "/")
	}
	maps.DeleteFunc(img.files, func(name string, _ file) bool {
		return name == gone && base != ".wh..opq" || strings.HasPrefix(name, gone+"/")
	})
	os.RemoveAll(filepath.Join(img.root, gone))
	if base == ".wh..opq" {
		os.MkdirAll(filepath.Join(img.root, gone), 0o755)
	}
}

func (img *image) unpack(h *tar.Header, r io.Reader) error {
	name := filepath.Join(img.root, h.Name)
	if h.Typeflag != tar.TypeDir {
		os.RemoveAll(name)
	}
	var err error
	switch h.Typeflag {
	case tar.TypeDir:
		err = os.MkdirAll(name, 0o755)
	case tar.TypeSymlink:
		err = os.Symlink(h.Linkname, name)
	case tar.TypeLink:
		return os.Link(filepath.Join(img.root, h.Linkname), name)
	case tar.TypeReg:
		var f *os.File
		if f, err = os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600); err == nil {
			_, err = io.Copy(f, r)
			err = errors.Join(err, f.Close())
		}
	case tar.TypeChar, tar.TypeBlock, tar.TypeFifo:
		return nil // an engine brings its own /dev
	default:
		return fmt.Errorf("type %q", h.Typeflag)
	}
	if err = errors.Join(err, os.Lchown(name, h.Uid, h.Gid)); err != nil || h.Typeflag == tar.TypeSymlink {
		return err
	}
	return os.Chmod(name, h.FileInfo().Mode())
}
