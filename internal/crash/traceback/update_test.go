package traceback

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

var update = flag.Bool("update", false, "run the programs and write their output to testdata anew")

// places are directories of the machine that a capture was made on.
var places = []struct {
	at *regexp.Regexp
	to string
}{
	{regexp.MustCompile(`/[^ "'()\n]*/\.pyenv/versions/[^/\n]*`), "/usr"},
	{regexp.MustCompile(`/[^ "'()\n]*/\.rustup/toolchains/[^/\n]*`), "/usr"},
}

// TestUpdate writes the captures that the other tests read. It needs the languages to be
// installed: go test -run TestUpdate -update
func TestUpdate(t *testing.T) {
	if !*update {
		t.Skip("-update is not set")
	}
	for _, d := range deaths {
		t.Run(d.name, func(t *testing.T) {
			stdout, stderr := d.from.output(t, d.args, d.env)
			text := stderr
			if d.from.stdout {
				text = stdout
			}
			text = bytes.ReplaceAll(text, []byte(d.from.dir), []byte("/app"))
			for _, place := range places {
				text = place.at.ReplaceAll(text, []byte(place.to))
			}
			if err := os.WriteFile(filepath.Join("testdata", d.name+".out"), text, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
}
