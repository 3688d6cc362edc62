package config

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/address"
)

// maxFile bounds the size of a configuration file in bytes, so that a wrong path (a log, a
// device) is an error and does not fill the memory.
const maxFile = 1 << 20

// A document is a parsed file, the same for TOML and JSON: tables are map[string]any, lists
// []any, other values string, bool, int64, float64 or a type that no key accepts.
type document struct {
	root  map[string]any
	lines map[string]int // lines: line of each key and list element, by its whole name
	errs  Errors         // errs: mistakes in the file's form
}

// Load reads the file, TOML or JSON, fills in the defaults and checks it. The error is an
// Errors with all mistakes, and the Config then nil. Load does not open files that the
// configuration names: Credentials and TLSConfig do.
func Load(path string) (*Config, error) {
	data, err := readFile(path)
	if err != nil {
		return nil, err
	}
	return parse(path, data)
}

// parse is Load for the text of a file.
func parse(file string, data []byte) (*Config, error) {
	return readDocument(file, data).config(file)
}

// readFile returns the text of a configuration file, or Errors.
func readFile(path string) ([]byte, error) {
	if address.IsURL(path) {
		return nil, Errors{{Msg: "a configuration is a file, not a URL; --redis takes a URL"}}
	}
	data, err := readBounded(path, maxFile)
	if err != nil {
		return nil, Errors{{File: path, Msg: "cannot be read: " + reason(err)}}
	}
	if len(data) > maxFile {
		return nil, Errors{{File: path, Msg: "is larger than 1 MiB: is this a configuration file?"}}
	}
	return data, nil
}

// readDocument reads TOML or JSON.
func readDocument(file string, data []byte) document {
	data = bytes.TrimPrefix(data, []byte("\uFEFF"))
	switch {
	case !utf8.Valid(data):
		return document{errs: Errors{{Line: badLine(data), Msg: "is not UTF-8 text"}}}
	case isJSON(file, data):
		return readJSON(data)
	}
	return readTOML(data)
}

// config returns the checked configuration of a file, or Errors.
func (d document) config(file string) (*Config, error) {
	c, errs := decode(&d)
	errs.place(file, d.lines)
	if err := errs.err(); err != nil {
		return nil, err
	}
	return c, nil
}

// isJSON goes by the extension, else by the first byte.
func isJSON(file string, data []byte) bool {
	switch strings.ToLower(filepath.Ext(file)) {
	case ".toml":
		return false
	case ".json":
		return true
	}
	return bytes.HasPrefix(bytes.TrimLeft(data, " \t\r\n"), []byte("{"))
}

// decode fills a Config from doc, completes and checks it.
func decode(doc *document) (*Config, Errors) {
	errs := doc.errs
	if doc.root == nil {
		return nil, errs
	}
	c := Default()
	d := decoder{errs: errs}
	d.table("", doc.root, reflect.ValueOf(c).Elem())
	c.complete(func(key string) bool { return doc.lines[key] > 0 })
	c.check(&d.errs)
	return c, d.errs
}

// readBounded returns at most limit+1 bytes of the file.
func readBounded(path string, limit int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, limit+1))
}

// badLine returns the line of the first bytes that are not UTF-8.
func badLine(data []byte) int {
	line := 1
	for text := range bytes.Lines(data) {
		if !utf8.Valid(text) {
			break
		}
		line++
	}
	return line
}

// A lineCounter turns offsets that never go back into line numbers, in one pass.
type lineCounter struct {
	data   []byte
	offset int
	line   int // line: line of offset, counted from 0
}

func (l *lineCounter) at(offset int) int {
	l.line += bytes.Count(l.data[l.offset:offset], []byte("\n"))
	l.offset = offset
	return l.line + 1
}
