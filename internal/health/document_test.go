package health

import (
	"bytes"
	"testing"
)

// TestDocument compares the documents that scripts rely on, blank for blank.
func TestDocument(t *testing.T) {
	t.Parallel()
	none := make([]*string, len(properties))
	for _, test := range []struct {
		readings []Reading
		want     string
	}{
		{nil, "{\n  \"data\": {}\n}\n"},
		{
			[]Reading{
				reading(Pair{"z", "<&>\"\\é\u2028"}, none),
				reading(Pair{"a", "b:c"}, none), // the next one has the same name and replaces it
				reading(Pair{"a:b", "c"}, []*string{
					new("1523"), new("-9223372036854775808"), new("100"), new("1500"), new("15"), new("1"), new("0"), new("856"),
				}),
				reading(Pair{"k", "v"}, []*string{new("1"), new("a\n"), nil, new(""), nil, new("1"), new("0"), new("7")}),
			},
			`{
  "data": {
    "a:b:c": {
      "beats": 1523,
      "cap": -9223372036854775808,
      "depletion_rate": 100,
      "init": 1500,
      "replenish_rate": 15,
      "running": 1,
      "exit": 0,
      "health": 856,
      "exists": true
    },
    "k:v": {
      "beats": 1,
      "running": 1,
      "exit": 0,
      "health": 7,
      "exists": false,
      "missing_keys": [
        "depletion_rate",
        "replenish_rate"
      ],
      "invalid_keys": {
        "cap": "a\n",
        "init": ""
      }
    },
    "z:<&>\"\\é\u2028": {
      "exists": false,
      "missing_keys": [
        "beats",
        "cap",
        "depletion_rate",
        "init",
        "replenish_rate",
        "running",
        "exit",
        "health"
      ]
    }
  }
}
`,
		},
	} {
		var got bytes.Buffer
		if err := WriteJSON(&got, test.readings); err != nil || got.String() != test.want {
			t.Errorf("%v\n%s\nwant\n%s", err, &got, test.want)
		}
	}
}

func TestFailureDocument(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		args []string
		want string
	}{
		{nil, "{\n  \"error\": \"Redis query failed\",\n  \"details\": \"a <b>\\n\",\n  \"args\": []\n}\n"},
		{[]string{"a:b", `"`}, "{\n  \"error\": \"Redis query failed\",\n  \"details\": \"a <b>\\n\",\n  \"args\": [\n    \"a:b\",\n    \"\\\"\"\n  ]\n}\n"},
	} {
		var got bytes.Buffer
		if err := WriteFailure(&got, "Redis query failed", "a <b>\n", test.args); err != nil || got.String() != test.want {
			t.Errorf("%v\n%s\nwant\n%s", err, &got, test.want)
		}
	}
}
