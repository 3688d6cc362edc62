package health

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"text/tabwriter"
)

// strange are names and texts that a writer has to get right.
var strange = []string{"", "api", "a:b", "a b", `q"\`, "<&>", "\x00\b\f\n\r\t\x1b\x7f", "\u009b\u2028\ufffd", "\xff\xc3", "é😀", "zz"}

// strangePools are pools with every number of keys, names and values that are
// strange, and two with one name.
func strangePools() []Reading {
	var readings []Reading
	for i, text := range strange {
		values := make([]any, len(properties))
		for j := range values {
			switch (i + j) % 5 {
			case 0:
				values[j] = []byte("-9223372036854775808")
			case 1, 2:
				values[j] = []byte(text)
			case 3:
				values[j] = []byte(fmt.Sprint(i * j))
			}
			if i%4 == 3 {
				values[j] = []byte("7")
			}
		}
		readings = append(readings, reading(Pair{text, strange[len(strange)-1-i]}, values))
	}
	return append(readings, reading(Pair{"a", "b:c"}, make([]any, len(properties))),
		reading(Pair{"a:b", "c"}, []any{[]byte("1"), nil, nil, nil, nil, nil, nil, nil}))
}

// indented is the document as encoding/json writes it.
func indented(t *testing.T, document any) string {
	t.Helper()
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	if err := e.Encode(document); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestDocument(t *testing.T) {
	t.Parallel()
	type pool struct {
		Beats         *int64            `json:"beats,omitempty"`
		Cap           *int64            `json:"cap,omitempty"`
		DepletionRate *int64            `json:"depletion_rate,omitempty"`
		Init          *int64            `json:"init,omitempty"`
		ReplenishRate *int64            `json:"replenish_rate,omitempty"`
		Running       *int64            `json:"running,omitempty"`
		Exit          *int64            `json:"exit,omitempty"`
		Health        *int64            `json:"health,omitempty"`
		Exists        bool              `json:"exists"`
		Missing       []string          `json:"missing_keys,omitempty"`
		Invalid       map[string]string `json:"invalid_keys,omitempty"`
	}
	all := strangePools()
	for n := range len(all) + 1 {
		for _, readings := range [][]Reading{all[:n], all[n:]} {
			data := map[string]pool{}
			for i := range readings {
				r := &readings[i]
				p := pool{Exists: r.Exists(), Missing: r.missing(), Invalid: r.invalid}
				for i, to := range []**int64{&p.Beats, &p.Cap, &p.DepletionRate, &p.Init, &p.ReplenishRate, &p.Running, &p.Exit, &p.Health} {
					if r.has[i] {
						*to = &r.values[i]
					}
				}
				data[r.String()] = p
			}
			var got bytes.Buffer
			err := WriteJSON(&got, readings)
			if want := indented(t, map[string]any{"data": data}); err != nil || got.String() != want {
				t.Fatalf("%v\n%s\nwant\n%s", err, &got, want)
			}
		}
	}
}

func TestFailureDocument(t *testing.T) {
	t.Parallel()
	for n := range len(strange) + 1 {
		var got bytes.Buffer
		err := WriteFailure(&got, "Redis query failed", strings.Join(strange[n:], "|"), strange[:n])
		want := indented(t, struct {
			Error   string   `json:"error"`
			Details string   `json:"details"`
			Args    []string `json:"args"`
		}{"Redis query failed", strings.Join(strange[n:], "|"), append([]string{}, strange[:n]...)})
		if err != nil || got.String() != want {
			t.Errorf("%v\n%s\nwant\n%s", err, &got, want)
		}
	}
}

// TestColumns compares the table's columns with those of text/tabwriter.
func TestColumns(t *testing.T) {
	t.Parallel()
	all := strangePools()
	for n := range len(all) + 1 {
		var want, got bytes.Buffer
		tw := tabwriter.NewWriter(&want, 0, 0, 2, ' ', 0)
		fmt.Fprintln(tw, "POOL\tHEALTH\tCAP\t%\tSTATE\tBEATS\tDEPLETION/s\tREPLENISH/beat\tINIT")
		for i := range all[:n] {
			r := &all[i]
			percent := "-"
			if r.has[7] && r.has[1] && r.values[1] > 0 {
				percent = fmt.Sprintf("%.0f", 100*float64(r.values[7])/float64(r.values[1]))
			}
			fmt.Fprintln(tw, strings.Join([]string{
				shown(r.Pair), r.cell(7), r.cell(1), percent, r.state(), r.cell(0), r.cell(2), r.cell(4), r.cell(3),
			}, "\t"))
		}
		tw.Flush()
		if err := WriteTable(&got, all[:n]); err != nil || got.String() != want.String() {
			t.Errorf("%v\n%s\nwant\n%s", err, &got, &want)
		}
	}
}
