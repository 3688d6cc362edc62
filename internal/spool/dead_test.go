package spool

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/lpportorino/jettison-base-images/internal/entry"
)

// TestLetter compares lines of the file of dead letters with what encoding/json
// makes of the same.
func TestLetter(t *testing.T) {
	t.Parallel()
	type letter struct {
		Time    time.Time         `json:"time"`
		Stream  string            `json:"stream"`
		ID      string            `json:"id"`
		Reply   string            `json:"reply"`
		Message *string           `json:"message,omitempty"`
		Base64  []byte            `json:"message_base64,omitempty"`
		Fields  map[string]string `json:"fields,omitempty"`
	}
	for i, message := range []string{"", "all is well", "a \"b\" \\c\n\t\b\x00\x7f", "é\u2028\ufffd", "a\xff", strings.Repeat("\xff", 5)} {
		for _, fields := range [][]string{nil, {"kind", "hang"}, {"z", "1", "a", "\xff", "source", "\"", "b", "", "a", "2"}} {
			flags := entry.Flags(i) % entry.FlagSets
			r := make(Record, Size([]byte(message), fields))
			r.Fill(1, entry.ID{Ms: 1795464901000, Seq: uint64(i)}, entry.Crash, flags, 0, []byte(message), fields)
			at := time.Unix(1795464901, int64(i)*100_000_000).UTC()
			reply := "WRONGTYPE " + message
			want := letter{Time: at, Stream: "logs:app:é:crash", ID: r.ID().String(), Reply: reply}
			if i < 4 {
				want.Message = &message
			} else {
				want.Base64 = []byte(message)
			}
			all := r.Fields()
			if len(all) > 0 {
				want.Fields = map[string]string{}
			}
			for i := 0; i < len(all); i += 2 {
				want.Fields[all[i]] = all[i+1]
			}
			line, err := json.Marshal(want)
			if err != nil {
				t.Fatal(err)
			}
			if got := appendLetter(nil, at, "logs:app:é:crash", r, reply); string(got) != string(line) {
				t.Errorf("%s\nwant %s", got, line)
			}
		}
	}
}
