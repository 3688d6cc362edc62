package command

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/lpportorino/jettison-base-images/internal/config"
)

// A boolFlag is a flag.Value that needs none.
type boolFlag struct{ set func(string) error }

func (boolFlag) String() string       { return "" }
func (boolFlag) IsBoolFlag() bool     { return true }
func (b boolFlag) Set(s string) error { return b.set(s) }

// FuzzFlags has the words of a line read by package flag as well.
func FuzzFlags(f *testing.F) {
	for _, seed := range []string{
		"", "-", "--", "---", "--=", "-=x", "a -b", "-b a -s", "-b -- -s", "-s", "-s x", "--s=x", "-s -b", "-s -- a", "-s= a", "-s=a=b --s", "-b=false a",
		"-b=x", "--b=", "-b false", "-n 7", "-n -7", "-n 0x10", "-n 1_000", "-n x", "-n=", "-n 9223372036854775808", "-none", "-h", "--help", "-help=x", "-B",
		"-f no", "-f yes -f no", "-w", "-w=no", "-w=yes a", "-\xff", "-s \xff", "-s \"", "-f é\x00no", "-b=T", "-s  ", "- -b", "-b - -s",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, line string) {
		args := strings.Split(line, " ")
		picky := func(to *[]string) func(string) error {
			return func(s string) error {
				*to = append(*to, s)
				if strings.Contains(s, "no") {
					return errors.New("must not")
				}
				return nil
			}
		}
		type result struct {
			s       string
			n       int
			b       bool
			f, w    []string
			err     string
			behind  []string
			isHelp  bool
			howMany int
		}
		got, want := result{n: 3}, result{n: 3}

		var ours flagSet
		ours.Func("s", "", text(&got.s))
		ours.Func("n", "", number(&got.n))
		ours.Func("b", "true", truth(&got.b))
		ours.Func("f", "", picky(&got.f))
		ours.Func("w", "true", picky(&got.w))
		err := ours.Parse(args)
		got.err, got.isHelp = fmt.Sprint(err), errors.Is(err, errHelp)

		theirs := flag.NewFlagSet("x", flag.ContinueOnError)
		theirs.SetOutput(io.Discard)
		theirs.StringVar(&want.s, "s", "", "")
		theirs.IntVar(&want.n, "n", want.n, "")
		theirs.BoolVar(&want.b, "b", false, "")
		theirs.Func("f", "", picky(&want.f))
		theirs.Var(boolFlag{picky(&want.w)}, "w", "")
		err = theirs.Parse(args)
		want.err, want.isHelp = fmt.Sprint(err), errors.Is(err, flag.ErrHelp)
		if err == nil {
			got.behind, want.behind = slices.Clone(ours.args), slices.Clone(theirs.Args())
			got.howMany, want.howMany = len(ours.args), theirs.NArg()
			for i := range 3 {
				if ours.Arg(i) != theirs.Arg(i) {
					t.Errorf("%q: word %d is %q, want %q", line, i, ours.Arg(i), theirs.Arg(i))
				}
			}
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\n%+v\nwant\n%+v", line, got, want)
		}
	})
}

// TestHelpNamesFlags compares what help says with the flags that there are.
func TestHelpNamesFlags(t *testing.T) {
	t.Parallel()
	cfg := config.Default()
	var flags []string
	for _, f := range runFlags(cfg, new(bool)).flags {
		flags = append(flags, f.name)
	}
	slices.Sort(flags)
	var named []string
	for _, m := range regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(wrappUsage[:strings.Index(wrappUsage, "flags of wrapp logs")], -1) {
		named = append(named, m[1])
	}
	if !slices.Equal(flags, named) {
		t.Errorf("help has %q, and the flags are %q", named, flags)
	}
	for _, value := range []string{fmt.Sprintf("(default %d)", cfg.Logs.MaxEntries), fmt.Sprintf("%s:%d unless", cfg.Debug.Host, cfg.Debug.Port)} {
		if !strings.Contains(wrappUsage, value) {
			t.Errorf("help lacks %q", value)
		}
	}
}
