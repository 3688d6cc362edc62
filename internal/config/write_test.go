package config

import (
	"bytes"
	"errors"
	"reflect"
	"strings"
	"testing"
)

func written(t *testing.T, c *Config) string {
	t.Helper()
	var b bytes.Buffer
	if err := c.Write(&b); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// checkWritten checks that Load reads c back as Write wrote it.
func checkWritten(t *testing.T, c *Config) {
	t.Helper()
	text := written(t, c)
	again, err := parse("written.toml", []byte(text))
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	want := c.masked()
	want.Redis.addressed = true // Write writes the address
	if !reflect.DeepEqual(again, want) {
		t.Errorf("written and read back\n%+v\nis\n%+v", c, again)
	}
}

func TestWrittenIsReadBack(t *testing.T) {
	t.Parallel()
	checkWritten(t, Default())
	for _, name := range pairs {
		checkWritten(t, mustLoad(t, name+".toml"))
	}
}

// Strings that are hard to write are read back, as values and as names.
func TestAwkwardStrings(t *testing.T) {
	t.Parallel()
	c := Default()
	c.App.Env = map[string]string{}
	for i, word := range []string{
		"", "'", `"`, "\\", "\n", "a\r\nb", "\t", "\x7f", "\x01", "\u0085", "\u2028", "\ufeff", "\U0010ffff",
		"'''", `"""`, `\u0041`, "# x", "[a]", "a: b", "é",
	} {
		c.App.Args = append(c.App.Args, word)
		c.App.Env["A"+word] = strings.Repeat(word, i)
	}
	checkWritten(t, c)
}

// With the true passwords put back, the written configuration equals the original.
func TestWrittenNeedsOnlyItsSecrets(t *testing.T) {
	t.Parallel()
	c := mustLoad(t, "url.toml")
	text := strings.Replace(written(t, c), mask, "s%23cret", 1)
	again, err := parse("x.toml", []byte(text))
	if err != nil || !reflect.DeepEqual(again, c) {
		t.Errorf("%+v, %v", again, err)
	}
}

// setSecrets sets every secret to the canary, by type, so that masked cannot forget a new one.
func setSecrets(v reflect.Value) (count int) {
	switch {
	case v.Type() == reflect.TypeFor[Secret]():
		v.SetString(canary)
		return 1
	case v.Type() == reflect.TypeFor[URL]():
		v.SetString("redis://u:" + canary + "@h")
		return 1
	case v.Type() == reflect.TypeFor[Hook]():
		v.SetString("https://h/" + canary)
		return 1
	case v.Kind() == reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		return setSecrets(v.Elem())
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			count += setSecrets(v.Field(i))
		}
	}
	return count
}

func TestEverySecretIsMasked(t *testing.T) {
	t.Parallel()
	c := Default()
	count := setSecrets(reflect.ValueOf(c).Elem())
	text := written(t, c)
	if strings.Contains(text, canary) || count < 3 || strings.Count(text, mask) != count {
		t.Errorf("%d secrets, written as\n%s", count, text)
	}
	if c.Redis.Password != canary || c.Redis.Sentinel.Password != canary {
		t.Error("Write changes the Config")
	}
}

func TestWrittenForm(t *testing.T) {
	t.Parallel()
	text := written(t, Default())
	for _, absent := range []string{"url", "socket", "tls", "sentinel", "cluster", "pools", "env", "#"} {
		if strings.Contains(text, absent) {
			t.Errorf("%s is written:\n%s", absent, text)
		}
	}
	const begin = "[redis]\nhost = 'localhost'\nport = 6379\n"
	if !strings.HasPrefix(text, begin) {
		t.Errorf("begins otherwise:\n%s", text)
	}
	c := mustLoad(t, "other.toml")
	first := written(t, c)
	for range 20 {
		if written(t, c) != first {
			t.Fatal("the order changes")
		}
	}
}

type brokenPipe struct{}

var errBroken = errors.New("broken")

func (brokenPipe) Write([]byte) (int, error) { return 0, errBroken }

func TestWriteTellsOfTheWriter(t *testing.T) {
	t.Parallel()
	if err := Default().Write(brokenPipe{}); !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}
