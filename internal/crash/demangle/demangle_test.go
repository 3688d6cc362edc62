package demangle

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

func TestName(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ symbol, want string }{
		{"main", "main"},
		{"", ""},
		{"_Z", "_Z"},
		{"_R", "_R"},
		{"_Zonk", "_Zonk"},
		{"_Z3fooi", "foo"},
		{"_Z3foov.cold", "foo [clone .cold]"},
		{"_Z3foov.isra.0.part.1", "foo [clone .isra.0.part.1]"},
		{"_ZL3fooi", "foo"},
		{"_ZN4shop5totalERKNS_4CartIiEE", "shop::total"},
		{"_ZNK4shop4CartIiE2atEj", "shop::Cart<int>::at"},
		{"_ZN1AC2Ei", "A::A"},
		{"_ZN1AIiED1Ev", "A<int>::~A"},
		{"_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back"},
		{"_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()"},
		{"_ZZ3fooiENKUlvE0_clEv", "foo(int)::{lambda()#2}::operator()"},
		{"_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo"},
		{"_ZlsRSoRK1A", "operator<<"},
		{"_ZN1AcvbEv", "A::operator bool"},
		{"_Z1fIiJcdEEvT_DpT0_", "f<int, char, double>"},
		{"_Z1fIA3_iEvv", "f<int [3]>"},
		{"_Z1fIPFivEEvv", "f<int (*)()>"},
		{"_Z1fILb1ELi5ELin3EEvv", "f<true, 5, -3>"},
		{"_ZThn16_N1A1bEv", "non-virtual thunk to A::b"},
		{"_ZSt9terminatev", "std::terminate"},
		{"_ZTV1A", "_ZTV1A"},
		{"_ZN2rs4deep1T2go17h551d86edeff38781E", "rs::deep::T::go"},
		{"_ZN2rs4main28_$u7b$$u7b$closure$u7d$$u7d$17h9ebb41b948418a2eE", "rs::main::{{closure}}"},
		{"_ZN42_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE", "<&T as core::fmt::Debug>::fmt"},
		{"_RNvCsbFYJioi4cCO_2rs4main", "rs::main"},
		{"_RNvMNtCsbFYJioi4cCO_2rs4deepNtB2_1T2go", "<rs::deep::T>::go"},
		{"_RINvNtCsbFYJioi4cCO_2rs4deep4callNCNvB4_4main0EB4_", "rs::deep::call::<rs::main::{closure#0}>"},
		{"_RINvMNtCsgEmfK2I1SDS_4core3stre18trim_start_matchesReECsgY6Mt91CT9J_14rustc_demangle", "<str>::trim_start_matches::<&str>"},
		{strings.Repeat("_Z", 1<<20), strings.Repeat("_Z", 1<<20)},
		{"_Z" + strings.Repeat("P", 4000) + "i", "_Z" + strings.Repeat("P", 4000) + "i"},
	} {
		if got := Name(row.symbol); got != row.want {
			t.Errorf("%.80s: %.80s, want %.80s", row.symbol, got, row.want)
		}
	}
}

// TestLibrary compares the names of a large library with what c++filt makes of
// them.
func TestLibrary(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"nm", "c++filt"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Fatalf("%v; `make tools` installs it", err)
		}
	}
	libraries, _ := filepath.Glob("/usr/lib/*-linux-gnu/libstdc++.so.6")
	if len(libraries) == 0 {
		t.Skip("needs the C++ library")
	}
	out, err := exec.Command("nm", "-D", "--defined-only", libraries[0]).Output()
	if err != nil {
		t.Fatal(err)
	}
	var symbols []string
	for line := range strings.Lines(string(out)) {
		fields := strings.Fields(line)
		if len(fields) != 3 || !strings.Contains("TtWwi", fields[1]) {
			continue
		}
		name, _, _ := strings.Cut(fields[2], "@")
		// c++filt writes the parameters of clones, and we leave tables alone.
		if strings.HasPrefix(name, "_Z") && !strings.HasPrefix(name, "_ZT") && !strings.HasPrefix(name, "_ZG") {
			symbols = append(symbols, name)
		}
	}
	cmd := exec.Command("c++filt", "--no-params")
	cmd.Stdin = strings.NewReader(strings.Join(symbols, "\n") + "\n")
	out, err = cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	wanted := bytes.Split(bytes.TrimSpace(out), []byte("\n"))
	if len(wanted) != len(symbols) || len(symbols) < 1000 {
		t.Fatalf("%d symbols, %d names", len(symbols), len(wanted))
	}
	wrong := 0
	for i, symbol := range symbols {
		if got := Name(symbol); got != string(wanted[i]) {
			if wrong++; wrong <= 5 {
				t.Logf("%s: %s, want %s", symbol, got, wanted[i])
			}
		}
	}
	// The two differ in a few ways to write the same type.
	if wrong > len(symbols)/50 {
		t.Errorf("%d of %d names differ", wrong, len(symbols))
	}
}

func FuzzName(f *testing.F) {
	for _, s := range []string{
		"_ZNK4shop4CartIiE2atEj", "_ZZ4mainENKUliE_clEi", "_Z1fIPFivEEvv", "_ZThn16_N1A1bEv",
		"_ZN2rs4main28_$u7b$$u7b$closure$u7d$$u7d$17h9ebb41b948418a2eE",
		"_RINvNtCsbFYJioi4cCO_2rs4deep4callNCNvB4_4main0EB4_",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, symbol string) {
		if name := Name(symbol); len(name) > max(len(symbol)+64, 2*maxOutput) {
			t.Errorf("%d bytes out of %d", len(name), len(symbol))
		}
	})
}
