package corefile

import (
	"strings"
	"testing"
)

func TestSourceName(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ symbol, want string }{
		{"", ""},
		{"main", "main"},
		{"main.(*box).get", "main.(*box).get"},
		{"_Z", "_Z"},
		{"_R", "_R"},
		{"_Zonk", "_Zonk"},
		{"_Z3fooi", "foo"},
		{"_Z3foov.cold", "foo"},
		{"_ZNK4shop4CartIiE2atEj", "shop::Cart<int>::at"},
		{"_ZN1AIiED1Ev", "A<int>::~A"},
		{"_ZNSt6vectorIiSaIiEE9push_backERKi", "std::vector<int, std::allocator<int> >::push_back"},
		{"_ZZ4mainENKUliE_clEi", "main::{lambda(int)#1}::operator()"},
		{"_ZN12_GLOBAL__N_13fooEv", "(anonymous namespace)::foo"},
		{"_ZN1AcvbEv", "A::operator bool"},
		{"_Z1fIPFivEEvv", "f<int (*)()>"},
		{"_ZThn16_N1A1bEv", "non-virtual thunk to A::b()"},
		// Rust, legacy and v0.
		{"_ZN2rs4deep1T2go17h551d86edeff38781E", "rs::deep::T::go"},
		{"_ZN2rs4main28_$u7b$$u7b$closure$u7d$$u7d$17h9ebb41b948418a2eE", "rs::main::{{closure}}"},
		{"_ZN42_$LT$$RF$T$u20$as$u20$core..fmt..Debug$GT$3fmt17h0123456789abcdefE", "<&T as core::fmt::Debug>::fmt"},
		{"_RNvCsbFYJioi4cCO_2rs4main", "rs::main"},
		{"_RNvMNtCsbFYJioi4cCO_2rs4deepNtB2_1T2go", "<rs::deep::T>::go"},
		{"_RINvNtCsbFYJioi4cCO_2rs4deep4callNCNvB4_4main0EB4_", "rs::deep::call::<rs::main::{closure#0}>"},
	} {
		if got := sourceName(row.symbol); got != row.want {
			t.Errorf("%s: %s, want %s", row.symbol, got, row.want)
		}
	}
}

// hostile returns names that make a demangler recurse deeply, or expand a lot.
func hostile() []string {
	long := func(prefix, part, suffix string) string {
		return prefix + strings.Repeat(part, (maxName-len(prefix)-len(suffix))/len(part)) + suffix
	}
	return []string{
		long("_Z1fI", "P", "iEvv"),
		long("_Z1fI", "1AI", "iEvv"),
		long("_Z1fI", "St4pairIiS_E", "Evv"),
		long("_Z1fI4pairIiiE", "S_IS0_S0_E", "Evv"),
		long("_Z1fI1AIiiES0_IS1_S1_E", "S0_IS2_S2_ES0_IS3_S3_ES0_IS4_S4_ES0_IS5_S5_E", "Evv"),
		long("_Z1fI", "F", "iEvv"),
		long("_Z1fIX", "pl", "EEvv"),
		long("_Z", "N", ""),
		long("_ZZ", "Z", "E"),
		long("_Z", "1AINcvT_I", ""),
		long("_Z"+strings.Repeat("1AINcvT_I", maxCasts), "1AI", ""),
		long("_Z"+strings.Repeat("1AINcvPT_I", maxCasts), "P", ""),
		long("_R", "INvC1a1f", "E"),
		long("_RINvC1a1f", "T", "E"),
		long("_RINvC1a1fT", "TB8_B8_E", "EE"),
		long("_RINvC1a1fT", "TBa_Ba_EB9_B9_", "EE"),
		long("_R", "B_", ""),
		long("_RNvMB_", "B_", ""),
		strings.Repeat("_Z", 1<<20),
	}
}

// TestSourceNameHostile wants bounded names from hostile symbols.
func TestSourceNameHostile(t *testing.T) {
	t.Parallel()
	for _, symbol := range hostile() {
		if name := sourceName(symbol); len(name) > max(len(symbol), 1<<maxDemangled) {
			t.Errorf("%d bytes out of %.40s...", len(name), symbol)
		}
	}
}

func FuzzSourceName(f *testing.F) {
	for _, s := range append(hostile(), "_ZNK4shop4CartIiE2atEj", "_ZZ4mainENKUliE_clEi", "_Z1fIPFivEEvv",
		"_ZN2rs4main28_$u7b$$u7b$closure$u7d$$u7d$17h9ebb41b948418a2eE", "_RINvNtCsbFYJioi4cCO_2rs4deep4callNCNvB4_4main0EB4_") {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, symbol string) {
		if name := sourceName(symbol); len(name) > max(len(symbol), 1<<maxDemangled) {
			t.Errorf("%d bytes out of %d", len(name), len(symbol))
		}
	})
}
