package crash

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// TestRedactLikeReplacer compares with strings.Replacer, whose first matching pair wins.
func TestRedactLikeReplacer(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	some := func(n int) string {
		b := make([]byte, random.IntN(n))
		for i := range b {
			b[i] = "ab\xc3\xa9\n"[random.IntN(5)]
		}
		return string(b)
	}
	for range 10_000 {
		one := some(5) + "aaaa"
		two := one + "b" + some(3)
		text := some(40) + one + some(9) + two + some(40)
		want := strings.NewReplacer(two, mask, one, mask).Replace(text)
		if got := redact(text, []string{one, two}); got != want {
			t.Fatalf("%q without %q and %q: %q, want %q", text, one, two, got, want)
		}
	}
}
