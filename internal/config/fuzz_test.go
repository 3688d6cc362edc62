package config

import (
	"bytes"
	"errors"
	"os"
	"reflect"
	"strings"
	"testing"
)

const seedDir = "testdata/fuzz/FuzzLoad"

// FuzzLoad: no file makes Load panic, every error consists of whole lines, and a loaded
// Config loads again after Write.
func FuzzLoad(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := parse("x", data)
		if err != nil {
			all, ok := errors.AsType[Errors](err)
			if !ok || len(all) == 0 {
				t.Fatalf("no Errors: %#v", err)
			}
			if n := strings.Count(err.Error(), "\n"); n != len(all)-1 {
				t.Fatalf("%d errors on %d lines: %v", len(all), n+1, err)
			}
			for _, e := range all {
				if most := 1 + bytes.Count(data, []byte("\n")); e.Line < 0 || e.Line > most {
					t.Fatalf("line of %d: %v", most, e)
				}
			}
			return
		}
		var text bytes.Buffer
		if err := c.Write(&text); err != nil {
			t.Fatal(err)
		}
		again, err := parse("x.toml", text.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, &text)
		}
		want := c.masked()
		want.Redis.addressed = true // Write writes the address
		if !reflect.DeepEqual(again, want) {
			t.Fatalf("%+v\nis read back as\n%+v", c, again)
		}
	})
}

func TestSeedsAreThere(t *testing.T) {
	t.Parallel()
	seeds, err := os.ReadDir(seedDir)
	if err != nil || len(seeds) < 12 {
		t.Errorf("%d seeds in %s, %v", len(seeds), seedDir, err)
	}
	formats := map[bool]int{}
	for _, seed := range seeds {
		data, err := os.ReadFile(seedDir + "/" + seed.Name())
		if err != nil {
			t.Error(err)
		}
		formats[bytes.Contains(data, []byte(`[]byte("{`))]++
	}
	if formats[true] < 4 || formats[false] < 4 {
		t.Errorf("JSON or TOML is rare among the seeds: %v", formats)
	}
}
