package crash

import (
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/lpportorino/jettison-base-images/internal/crash/signature"
)

func TestCutMiddle(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		name, text string
	}{
		{"lines", strings.Repeat("a line of text\n", 1000)},
		{"one line", strings.Repeat("x", 10_000)},
		{"wide", strings.Repeat("é漢😀", 2000)},
		{"barely", strings.Repeat("y", 1001)},
	} {
		got := cutMiddle(tt.text, 1000)
		if len(got) > 1000 || !strings.Contains(got, "bytes left out here") || !utf8.ValidString(got) || got[:50] != tt.text[:50] || !strings.HasSuffix(tt.text, got[len(got)-50:]) {
			t.Errorf("%s: %d bytes: %q", tt.name, len(got), got)
		}
	}
	if text := strings.Repeat("z", 1000); cutMiddle(text, 1000) != text {
		t.Error("a text of the limit's length is cut")
	}
}

func TestRedact(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("0123456789", 10)
	for _, tt := range []struct {
		text, want string
		secrets    []string
	}{
		{`pw = "s3same"`, `pw = "[secret]"`, []string{"s3same"}},
		{"a short one: abc", "a short one: abc", []string{"abc", ""}},
		{`pw = "a\"b\\c"`, `pw = "[secret]"`, []string{`a"b\c`}},
		{`key = "first line\n\tsecond\r\n"`, `key = "[secret]\r\n"`, []string{"first line\n\tsecond"}},
		{`key = "` + long[:9] + `\n` + long[:54] + `"...`, `key = "[secret]"...`, []string{long[:9] + "\n" + long}},
		{`pw = "` + long[:64] + `"...`, `pw = "[secret]"...`, []string{long}},
		{long + " " + long[:70], "[secret] [secret]" + long[64:70], []string{long}},
		{"secret secret-longer", "[secret] [secret]", []string{"secret", "secret-longer"}},
		{`x = "the pw is 01234"...`, `x = "the pw is [secret]"...`, []string{long}},
		{`x = "the pw is 012"... or "01234"`, `x = "the pw is 012"... or "01234"`, []string{long}},
	} {
		if got := redact(tt.text, tt.secrets); got != tt.want {
			t.Errorf("%q: got %q, want %q", tt.text, got, tt.want)
		}
	}
}

func TestSecrets(t *testing.T) {
	t.Parallel()
	got := Secrets([]string{"PATH=/bin", "DB_PASSWORD=hunter2", "my_token=abcdef123", "PASSWORD_FILE=/run/secrets/x", "SECRET=short", "USE_TOKEN=true", "X=password", "EMPTY_SECRET=", "PRIVATE_KEY= two\nlines\n", "END_TOKEN=short\n", "REDIS=redis://me:pw%5Bword@h:1/", "PLAIN=http://h/"})
	if strings.Join(got, " ") != "hunter2 abcdef123 two\nlines pw%5Bword pw[word pw%5Bword" {
		t.Errorf("%q", got)
	}
	for address, want := range map[string]string{
		"redis://me:pw-1@h/\n":                    "pw-1",
		"mongodb://me:pw-1@h:1,h:2/db":            "pw-1",
		"redis://me:pw-1@h,redis://me:pw-2@h:1/0": "pw-1 pw-2",
		"postgres://me:p%24w@h/":                  "p%24w p$w",
		"postgres://me:p%5bw@h/":                  "p%5bw p[w p%5Bw",
		"postgres://me:50%off@h/":                 "50%off",
		"postgres://me:p^w #/?@h/":                "p^w #/?",
		"postgres://me:a@b@h/a@b":                 "a@b a%40b",
		"//me:pw-1@h":                             "pw-1",
		"http://me@h:80/a:b":                      "",
		"http://h:80/a@b":                         "",
		"me:pw-1@h":                               "",
		"://":                                     "",
	} {
		if got := strings.Join(slices.Compact(Secrets([]string{"X=" + address})), " "); got != want {
			t.Errorf("%s: %q, want %q", address, got, want)
		}
	}
}

func TestFields(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		r    Report
		want string
	}{
		{Report{Kind: Signal, Run: "r", PID: 1, Signal: 11, ExitCode: 139, CoreFile: "/c", Signature: signature.Signature{ID: "0123456789ab", Top: "f at f.c:1"}, Build: "b"}, "kind signal run r pid 1 signal SIGSEGV exit_code 139 core /c signature 0123456789ab frame f at f.c:1 build b"},
		{Report{Kind: Traceback, Run: "r", PID: 1, ExitCode: -1, Signature: signature.Signature{ID: "0123456789ab"}}, "kind traceback run r pid 1 signature 0123456789ab"},
		{Report{Kind: Traceback, Run: "r", PID: 1, ExitCode: 2, Count: 3, Signature: signature.Signature{ID: "0123456789ab"}}, "kind traceback run r pid 1 exit_code 2 count 3 signature 0123456789ab"},
	} {
		if got := strings.Join(tt.r.Fields(), " "); got != tt.want {
			t.Errorf("got %q, want %q", got, tt.want)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ got, want string }{
		{size(-1), "not known"},
		{size(1023), "1023 bytes"},
		{size(1024), "1.0 KiB"},
		{size(5 << 20), "5.0 MiB"},
		{size(3 << 29), "1.5 GiB"},
		{span(1234567 * time.Nanosecond), "1ms"},
		{span(12345 * time.Millisecond), "12.35s"},
		{span(3*time.Hour + 12345*time.Millisecond), "3h0m12s"},
		{siginfo{signal: 11, code: 1, address: 16}.String(), "SEGV_MAPERR: nothing is mapped there; the address is 0x10"},
		{siginfo{signal: 11, code: 0x80}.String(), "SI_KERNEL: the address is not a valid one"},
		{siginfo{signal: 8, code: 1, address: 255}.String(), "FPE_INTDIV: an integer was divided by zero; the instruction is at 0xff"},
		{siginfo{signal: 6, code: -6, pid: 3, uid: 4}.String(), "SI_TKILL: raised by process 3 (uid 4)"},
		{siginfo{signal: 31, code: 1, address: 1, call: 59}.String(), "SYS_SECCOMP: seccomp forbids it; the call's number is 59, at 0x1"},
		{siginfo{signal: 11, code: 77}.String(), "si_code 77: an unknown cause; the address is 0x0"},
		{clean("a\x1b[31m\xff\tb\u009b\n"), "a�[31m�\tb�\n"},
	} {
		if tt.got != tt.want {
			t.Errorf("got %q, want %q", tt.got, tt.want)
		}
	}
}
