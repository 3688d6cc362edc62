package config

import (
	"bytes"
	"math"
	"math/rand/v2"
	"reflect"
	"testing"
	"unicode/utf8"

	"github.com/pelletier/go-toml/v2"
)

// checkAsEncoder wants what Write writes to be what the encoder of go-toml does,
// byte for byte.
func checkAsEncoder(t *testing.T, c *Config) {
	t.Helper()
	var want bytes.Buffer
	if err := toml.NewEncoder(&want).Encode(c.masked()); err != nil {
		t.Fatal(err)
	}
	if got := written(t, c); got != want.String() {
		t.Fatalf("written\n%s\nand by go-toml\n%s", got, &want)
	}
}

func TestWrittenAsByGoTOML(t *testing.T) {
	t.Parallel()
	checkAsEncoder(t, Default())
	checkAsEncoder(t, &Config{})
	for _, name := range pairs {
		checkAsEncoder(t, mustLoad(t, name+".toml"))
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 500 {
		c := &Config{}
		setRandom(random, reflect.ValueOf(c).Elem())
		checkAsEncoder(t, c)
		text := []byte(written(t, c))
		if errs := readTOML(text).errs; errs != nil {
			t.Fatalf("%v\n%s", errs, text)
		}
		checkAsLibrary(t, text)
	}
}

// setRandom fills in whatever can be set, with what is hard to write.
func setRandom(random *rand.Rand, v reflect.Value) {
	few := random.IntN(4)
	switch v.Kind() {
	case reflect.String:
		v.SetString(randomWord(random))
	case reflect.Bool:
		v.SetBool(few > 1)
	case reflect.Int, reflect.Int64:
		v.SetInt([]int64{0, 1, -1, math.MaxInt64, math.MinInt64, random.Int64()}[random.IntN(6)])
	case reflect.Pointer:
		if few > 0 {
			v.Set(reflect.New(v.Type().Elem()))
			setRandom(random, v.Elem())
		}
	case reflect.Slice:
		if few > 0 {
			v.Set(reflect.MakeSlice(v.Type(), few-1, few-1))
		}
		for i := range v.Len() {
			setRandom(random, v.Index(i))
		}
	case reflect.Map:
		if few > 0 {
			v.Set(reflect.MakeMap(v.Type()))
		}
		for range few - 1 {
			element := reflect.New(v.Type().Elem()).Elem()
			setRandom(random, element)
			v.SetMapIndex(reflect.ValueOf(randomWord(random)), element)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			setRandom(random, v.Field(i))
		}
	default:
		panic("no way to fill in a " + v.Type().String())
	}
}

func randomWord(random *rand.Rand) (word string) {
	pieces := []string{"a", "B-_9", ".", "é", "'", `"`, "\\", "\n", "\t", "\x00", "\x7f", "\xff", "# ", "[", "=", mask}
	for range random.IntN(4) {
		word += pieces[random.IntN(len(pieces))]
	}
	return word
}

// Every byte, alone and beside those that matter, as a value and as a name.
func TestStringsWrittenAsByGoTOML(t *testing.T) {
	t.Parallel()
	words := []string{
		"", "\u0085", "\u2028", "\ufeff", "\U0010ffff", "\ufffd", "\ufffd\xff", "\xed\xa0\x80", "\xf4\x90\x80\x80",
		"'''", `"""`, `\u0041`, "a\r\nb",
	}
	for a := range 256 {
		words = append(words, string([]byte{byte(a)}))
		for _, b := range []byte("\x00\b\n\r '\"\\a\x7f\x80\xa0\xc3\xed\xf4\xff") {
			words = append(words, string([]byte{byte(a), b}), string([]byte{b, 'x', byte(a)}))
		}
	}
	c := Default()
	c.App.Args = words
	c.App.Env = map[string]string{}
	c.Health.Pools = map[string]Pool{}
	for i, word := range words {
		c.App.Env[word] = word
		if i%64 == 0 {
			c.Health.Pools[word] = Pool{}
		}
	}
	checkAsEncoder(t, c)
	for _, word := range words {
		doc := readTOML(append([]byte("a = "), appendString(nil, word)...))
		if got := doc.root["a"]; utf8.ValidString(word) && got != word {
			t.Errorf("%q is read back as %q, %v", word, got, doc.errs)
		}
	}
}
