package jsontext

import (
	"encoding/json"
	"io"
)

// WriteDocument writes v as the tools print JSON: indented, and with <, > and & as they are.
func WriteDocument(w io.Writer, v any) error {
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
