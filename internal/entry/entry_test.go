package entry

import (
	"math"
	"testing"
)

func TestID(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		id   ID
		text string
		next ID
	}{
		{ID{}, "0-0", ID{0, 1}},
		{ID{1_700_000_000_000, 9}, "1700000000000-9", ID{1_700_000_000_000, 10}},
		{ID{5, math.MaxUint64}, "5-18446744073709551615", ID{6, 0}},
	} {
		if got := tt.id.String(); got != tt.text {
			t.Errorf("%v is written %q, want %q", tt.id, got, tt.text)
		}
		if got, err := ParseID(tt.text); err != nil || got != tt.id {
			t.Errorf("%q is read as %v, %v", tt.text, got, err)
		}
		if got := tt.id.Next(); got != tt.next || !tt.id.Less(got) || got.Less(tt.id) || got.Less(got) {
			t.Errorf("after %v comes %v, want %v", tt.id, got, tt.next)
		}
	}
	for _, text := range []string{"", "1", "-", "1-", "-1", "a-b", "1-2-3", "18446744073709551616-0"} {
		if id, err := ParseID(text); err == nil {
			t.Errorf("%q is read as %v", text, id)
		}
	}
}
