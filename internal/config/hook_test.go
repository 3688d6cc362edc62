package config

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

// TestHookHidesItsPath prints hooks in every way: the path of a webhook is its password.
func TestHookHidesItsPath(t *testing.T) {
	t.Parallel()
	for text, want := range map[Hook]string{
		"":                              "",
		"exec:logger -t 'a b'":          "exec:logger -t 'a b'",
		"http://127.0.0.1:8080":         "http://127.0.0.1:8080",
		"https://h/":                    "https://h/",
		"https://hooks.h/services/c4n4": "https://hooks.h/" + mask,
		"http://[::1]:1?token=c4n4":     "http://[::1]:1/" + mask,
		"https://u:c4n4@h/":             mask,
		"c4n4":                          mask,
	} {
		marshalled, err := text.MarshalText()
		shown := fmt.Sprintf("%v %s %q %#v %+v %v", text, text, text, text, struct{ H Hook }{text}, slog.Any("h", text))
		if string(marshalled) != want || err != nil || text.String() != want || strings.Contains(shown, "c4n4") {
			t.Errorf("%q, %v, %s, want %q", marshalled, err, shown, want)
		}
		if text.Reveal() != string(text) {
			t.Error("Reveal does not give the text")
		}
	}
}
