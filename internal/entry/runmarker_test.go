package entry

import "testing"

// TestRunMarker: what String writes, ParseRunMarker reads; messages that only look like it are
// no markers.
func TestRunMarker(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]RunMarker{
		"{{__NEW_RUN_2026-11-23_20-15-01}}":          {Begins: true, Stamp: "2026-11-23_20-15-01"},
		"{{__END_RUN_2026-11-23_20-15-02_exit_137}}": {Stamp: "2026-11-23_20-15-02", Exit: 137},
	} {
		if got := want.String(); got != text {
			t.Errorf("%+v is %q, want %q", want, got, text)
		}
		if got, ok := ParseRunMarker([]byte(text)); !ok || got != want {
			t.Errorf("%q: %+v, %v, want %+v", text, got, ok, want)
		}
	}
	for _, text := range []string{
		"", "}}", "{{__NEW_RUN_}}", "{{__NEW_RUN_2026-11-23}}", "{{__NEW_RUN_2026-11-23_20-15-01}} ", " {{__NEW_RUN_2026-11-23_20-15-01}}",
		"{{__NEW_RUN_2026-11-23_20-15-01_exit_0}}", "{{__END_RUN_2026-11-23_20-15-02}}", "{{__END_RUN_2026-11-23_20-15-02_exit_}}",
		"{{__END_RUN_2026-11-23_20-15-02_exit_x}}", "{{__END_RUN_2026-13-23_20-15-02_exit_0}}",
	} {
		if got, ok := ParseRunMarker([]byte(text)); ok {
			t.Errorf("%q: %+v, want no marker", text, got)
		}
	}
}
