package loglevel

import "testing"

func TestParse(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Level{
		"debug": Debug, "TRACE": Debug, "Info": Info, "notice": Info, "WARN": Warn, "wrn": Warn, "error": Error, "Fatal": Error, "informational": Info,
		"": None, "loud": None, "information!": None, "informationalx": None, "ërror": None,
	} {
		got, err := Parse(text)
		if got != want || (err == nil) != (want != None) {
			t.Errorf("%q: %v, %v", text, got, err)
		}
		if again, err := Parse(want.String()); again != want || (err == nil) != (want != None) {
			t.Errorf("%v is read as %v, %v", want, again, err)
		}
	}
	for word, exact := range map[string]bool{"ERROR": true, "FATAL": false, "trace": false, "inf": true} {
		if _, got := Word([]byte(word)); got != exact {
			t.Errorf("%s is exact: %v", word, got)
		}
	}
}
