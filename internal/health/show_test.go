package health

import (
	"bytes"
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
)

// TestPromlint applies the rules of `promtool check metrics`.
func TestPromlint(t *testing.T) {
	t.Parallel()
	whole := reading(Pair{"s", "c"}, []*string{
		new("1"), new("2"), new("3"), new("4"), new("5"), new("1"), new("0"), new("7"),
	})
	var text bytes.Buffer
	err := WritePrometheus(&text, []Reading{whole, {Pair: Pair{"a\nb\"\\", "\xff"}}})
	if err != nil {
		t.Fatal(err)
	}
	problems, err := promlint.New(&text).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

func TestPairs(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		want Pair
		ok   bool
	}{
		{"myapp:api", Pair{"myapp", "api"}, true},
		{"wrapp:myapp:api", Pair{"wrapp:myapp", "api"}, true},
		{"a::b", Pair{"a:", "b"}, true},
		{"", Pair{}, false},
		{"myapp", Pair{}, false},
		{":api", Pair{}, false},
		{"myapp:", Pair{}, false},
		{":", Pair{}, false},
	} {
		if got, err := ParsePair(test.text); got != test.want || (err == nil) != test.ok {
			t.Errorf("%q: %v, %v", test.text, got, err)
		}
	}
	for _, test := range []struct {
		key  string
		want Pair
		ok   bool
	}{
		{"myapp:__healthpool__api_health", Pair{"myapp", "api"}, true},
		{"a:b:__healthpool__two_words_depletion_rate", Pair{"a:b", "two_words"}, true},
		{"wrapp:myapp:__healthpool__api_beats", Pair{"wrapp:myapp", "api"}, true},
		{"myapp:__healthpool___health", Pair{}, false},
		{":__healthpool__api_health", Pair{}, false},
		{"myapp:__healthpool__api_other", Pair{}, false},
		{"myapp:health", Pair{}, false},
	} {
		if got, ok := pairOf(test.key); got != test.want || ok != test.ok {
			t.Errorf("%q: %v, %v", test.key, got, ok)
		}
	}
}

func TestThreshold(t *testing.T) {
	t.Parallel()
	pool := func(health, capacity int64) *Reading {
		r := Reading{has: [len(properties)]bool{true, true, true, true, true, true, true, true}}
		r.values[healthProperty], r.values[1] = health, capacity
		return &r
	}
	const large = 1<<63 - 1
	for _, test := range []struct {
		least string
		pool  *Reading
		want  bool
	}{
		{"0", pool(0, 10), true},
		{"5", pool(5, 10), true},
		{"6", pool(5, 10), false},
		{"50%", pool(5, 10), true},
		{"51%", pool(5, 10), false},
		{"0%", pool(0, 10), true},
		{"150%", pool(1500, 1000), true},
		{"1%", pool(0, 0), true},
		{"100%", pool(large, large), true},
		{"101%", pool(large, large), false},
		{"0", pool(-1, 10), false},
		{"1%", pool(1, -10), false},
		{"0", &Reading{}, false},
	} {
		var threshold Threshold
		if err := threshold.UnmarshalText([]byte(test.least)); err != nil {
			t.Errorf("%s: %v", test.least, err)
		}
		if got := test.pool.Above(threshold); got != test.want {
			t.Errorf("%s: %v", test.least, got)
		}
	}
	for _, text := range []string{"", "%", "-1", "x", "1.5", "5 %", "99999999999999999999"} {
		if new(Threshold).UnmarshalText([]byte(text)) == nil {
			t.Errorf("%q is accepted", text)
		}
	}
}

// TestTableOfStrangers shows pools whose names try to spoil the table or the terminal.
func TestTableOfStrangers(t *testing.T) {
	t.Parallel()
	var text bytes.Buffer
	err := WriteTable(&text, []Reading{
		{Pair: Pair{"kamera-ä:2", "api"}}, {Pair: Pair{"a\tb\n\x1b[2J", "c"}}, {Pair: Pair{"s", "\xff"}},
	})
	const want = `POOL               HEALTH  CAP  %  STATE         BEATS  DEPLETION/s  REPLENISH/beat  INIT
kamera-ä:2:api     -       -    -  no such pool  -      -            -               -
"a\tb\n\x1b[2J:c"  -       -    -  no such pool  -      -            -               -
"s:\xff"           -       -    -  no such pool  -      -            -               -
`
	if err != nil || text.String() != want {
		t.Errorf("%v\n%s", err, &text)
	}
}
