package signature

import (
	"slices"
	"strings"
	"testing"
)

// TestName has names as written by gdb, by our reader of cores and by runtimes.
func TestName(t *testing.T) {
	t.Parallel()
	for want, names := range map[string][]string{
		"touch":                     {"touch", "touch.constprop.0", "touch.isra.0.cold", "touch.part.1", "touch(int*) [clone .isra.0]", "touch (inlined)", "touch@plt"},
		"{anonymous}::touch":        {"(anonymous namespace)::touch", "(anonymous namespace)::touch(int*)"},
		"{anonymous}::Plan::run":    {"(anonymous namespace)::Plan::run", "(anonymous namespace)::Plan::run(int*, std::__cxx11::basic_string<char, std::char_traits<char>, std::allocator<char> > const&) const"},
		"shop::Bag::operator()":     {"shop::Bag<int, 3>::operator()", "shop::Bag<int, 3>::operator()(int*) const [clone .isra.0]"},
		"shop::apply":               {"int shop::apply<int>(std::function<int (int*)>, int*)", "shop::apply<int>(std::function<int (int*)>, int*)", "shop::apply<int>"},
		"operator()":                {"operator()", "main::{lambda(int*)#1}::operator()(int*) const", "main(int, char**)::<lambda(int*)>::operator()(int*) const", "<lambda(int*)>::operator()(int*) const"},
		"std::operator<<":           {"std::operator<<", "std::ostream& std::operator<< <char>(std::ostream&, char const*)"},
		"Box::operator->":           {"Box<int>::operator->", "Box<int>::operator->() const"},
		"Box::operator[]":           {"Box<int>::operator[](unsigned long)"},
		"operator new":              {"operator new(unsigned long)", "operator new"},
		"Box::operator bool":        {"Box::operator bool() const", "Box::operator bool"},
		"operators::f":              {"operators::f(int)"},
		"main::Local::f":            {"main(int, char**)::Local::f(int)", "main::Local::f"},
		"name":                      {"name[abi:cxx11]", "name[abi:cxx11](int)"},
		"bounds::deep::Shelf::take": {"<bounds::deep::Shelf>::take", "bounds::deep::Shelf::take", "bounds::deep::Shelf::take::h0123456789abcdef", "<bounds[7f]::deep::Shelf>::take"},
		"bounds::main":              {"bounds::main::{{closure}}", "bounds::main::{closure#0}", "bounds::main"},
		"crash::Bomb::drop":         {"<crash::Bomb as core::ops::drop::Drop>::drop", "<crash::Bomb<T> as core::ops::drop::Drop>::drop"},
		"std::a::print::Shown::fmt": {"<std::a::print::Shown as core::fmt::Display>::fmt"},
		"main.(*box).get":           {"main.(*box).get", "main.(*box).get.func1", "main.(*box).get.func1.2", "main.(*box).get-fm"},
		"main.Map":                  {"main.Map[...]", "main.Map[go.shape.int]", "main.Map[...].func2"},
		"github.com/a/b.v2.(*T).f":  {"github.com/a/b.v2.(*T).f", "github.com/a/b.v2.(*T).f.gowrap1"},
		"":                          {""},
		"vector::_M_invoke":         {"vector<std::function<int (*)(int, char const*)> >::_M_invoke<0ul, 1ul>(int) const &"},
		"fn::call":                  {"<fn as core::ops::FnOnce<(i32,)>>::call", "<&fn as Fn<(i32,) -> i32>>::call"},
	} {
		for _, name := range names {
			if got := Name(name); got != want {
				t.Errorf("Name(%q) = %q, want %q", name, got, want)
			}
		}
	}
}

// TestFromGDB has the output of gdb 13 for a C++ program with debug information.
func TestFromGDB(t *testing.T) {
	t.Parallel()
	const stack = `#0  (anonymous namespace)::Plan::run (this=this@entry=0x7ffda37ef048, p=p@entry=0x0, why="a) at b.c:1") at parts.cc:8
        i = 3
#1  0x000056100940c3ef in shop::Bag<int, 3>::operator() (p=0x0, this=<optimized out>) at /usr/include/c++/12/bits/basic_string.tcc:238
#2  0x000056100940c40f in operator() (p=<optimized out>, __closure=0x7ffda37ef0d0) at parts.cc:15
#3  std::__invoke_impl<int, main(int, char**)::<lambda(int*)>&, int*> (__f=...) at /usr/include/c++/12/bits/invoke.h:61
#4  <signal handler called>
#5  0x00007fde0f6d44a3 in ?? () from /lib/x86_64-linux-gnu/libstdc++.so.6
#6  0x00007fde0f4a71f5 in start_thread (arg=<optimized out>) at ./nptl/pthread_create.c:442
#7  0x000056100940c40f in std::ostream& operator<< <char>(std::ostream&, char const*) ()
`
	got := FromGDB(stack, "rax 0x0 0\nrip            0x56100940c3c0      0x56100940c3c0 <run>\n",
		"From                To                  Syms Read   Shared Object Library\n0x00007fde0f4a0000  0x00007fde0f5a0000  Yes (*)     /lib/x86_64-linux-gnu/libc.so.6\n", "/opt/app")
	want := []Frame{
		{Function: "(anonymous namespace)::Plan::run", Module: "/opt/app", Place: "parts.cc:8"},
		{Function: "shop::Bag<int, 3>::operator()", Module: "/opt/app", Place: "/usr/include/c++/12/bits/basic_string.tcc:238"},
		{Function: "operator()", Module: "/opt/app", Place: "parts.cc:15"},
		{Function: "std::__invoke_impl<int, main(int, char**)::<lambda(int*)>&, int*>", Module: "/opt/app", Place: "/usr/include/c++/12/bits/invoke.h:61"},
		{Signal: true},
		{Module: "/lib/x86_64-linux-gnu/libstdc++.so.6"},
		{Function: "start_thread", Module: "/lib/x86_64-linux-gnu/libc.so.6", Place: "./nptl/pthread_create.c:442"},
		{Function: "std::ostream& operator<< <char>(std::ostream&, char const*)", Module: "/opt/app"},
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%+v\nwant\n%+v", got, want)
	}
}

func named(frames []Frame) string {
	var names []string
	for _, f := range frames {
		names = append(names, f.Function)
	}
	return strings.Join(names, " ")
}

// TestOwn chooses the app's own frames.
func TestOwn(t *testing.T) {
	t.Parallel()
	const exe, libc = "/opt/app", "/lib/x86_64-linux-gnu/libc.so.6"
	for _, row := range []struct {
		name   string
		frames []Frame
		want   string
	}{
		{"by module", []Frame{{Function: "abort", Module: libc}, {Function: "log_all", Module: "/usr/lib/libvendor.so"}, {Function: "f", Module: "/opt/lib/libours.so"}, {Function: "main", Module: exe}}, "f main"},
		{"by name", []Frame{{Function: "raise"}, {Function: "abort"}, {Function: "std::terminate()"}, {Function: "f(int)"}, {Function: "main"}, {Function: "__libc_start_main"}}, "f main"},
		{"static", []Frame{{Function: "__memcpy_avx", Module: exe}, {Function: "copy", Module: exe}, {Function: "main", Module: exe}}, "copy main"},
		{"an interpreter", []Frame{{Function: "PyEval_EvalCode", Module: "/usr/bin/python3.11"}, {Function: "run_file", Module: "/usr/bin/python3.11"}, {Function: "string_at", Module: "/opt/python/lib/python3.11/lib-dynload/_ctypes.so"}, {Function: "step", Module: "/srv/app/_step.so"}}, "step"},
		{"a handler that gives up", []Frame{{Function: "__GI_raise"}, {Function: "give_up"}, {Function: "handler"}, {Signal: true}, {Function: "boom"}, {Function: "main"}}, "boom main"},
		{"a handler that goes wrong", []Frame{{Function: "copy"}, {Function: "handler"}, {Signal: true}, {Function: "wait"}, {Function: "main"}}, "copy handler wait main"},
		{"replaced", []Frame{{Module: libc + " (deleted)", Offset: 1}, {Module: exe + " (deleted)", Offset: 0x1234}, {Function: "??", Module: "/usr/bin/python3.11 (deleted)", Offset: 0x99}}, "app+0x1234"},
		{"stripped", []Frame{{Module: libc, Offset: 1}, {Module: exe, Offset: 0x1234}, {Function: "??", Module: exe, Offset: 0x99}}, "app+0x1234 app+0x99"},
		{"partly stripped", []Frame{{Module: exe, Offset: 0x1234}, {Function: "entry", Module: exe}}, "entry"},
		{"names like a library's", []Frame{{Function: "core::panicking::panic_fmt"}, {Function: "core::Engine::run"}, {Function: "PyNode::update"}, {Function: "alloc::vec::Vec<T>::push"}, {Function: "main"}}, "core::Engine::run PyNode::update main"},
		{"nothing", []Frame{{Function: "??"}, {Function: "__poll", Module: libc}}, ""},
		{"Go", []Frame{{Function: "runtime.gopanic"}, {Function: "net/http.(*conn).serve.func1"}, {Function: "main.(*box).get"}, {Function: "example.com/x.F"}, {Function: "runtime.main"}}, "main.(*box).get example.com/x.F"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			if got := named(Own(row.frames, exe)); got != row.want {
				t.Errorf("got %q, want %q", got, row.want)
			}
		})
	}
}

func TestOf(t *testing.T) {
	t.Parallel()
	frames := []Frame{{Function: "a", Place: "/src/a.c:1"}, {Function: "b"}, {Function: "c"}, {Function: "d"}}
	s := Of("SIGSEGV", frames)
	// Signatures are stored in Redis and in people's notes, and must not change.
	if s.ID != "9977808e1500" || s.Top != "a at a.c:1" {
		t.Errorf("%+v", s)
	}
	if Of("SIGSEGV", frames[:3]) != s {
		t.Error("a fourth frame counts")
	}
	closure := Frame{Function: "operator()"}
	if Of("SIGSEGV", []Frame{{Function: "a"}, closure, {Function: "b"}, {Function: "c"}}).ID != s.ID {
		t.Error("a closure counts")
	}
	for _, other := range []Signature{Of("SIGSEGV", []Frame{closure}), Of("SIGABRT", frames), Of("SIGSEGV", frames[:2]), Of("SIGSEGV", nil), Of("SIGSEGV", frames[1:])} {
		if other.ID == s.ID {
			t.Errorf("%+v is the same", other)
		}
	}
}

// FuzzName wants no panic for any name and stack, and no blanks in the result.
func FuzzName(f *testing.F) {
	for _, seed := range []string{"int shop::apply<int>(std::function<int (int*)>, int*)", "<a as b>::c", "operator<< <char>(int)", "main.(*T).f[...].func1", "<lambda()>::operator()() const"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, name string) {
		if got := Name(name); Name(got) == "" && got != "" && !strings.ContainsAny(got, "<>()[]{}. @&*") {
			t.Errorf("Name(%q) = %q, which has no name", name, got)
		}
		FromGDB("#0  "+name+" (a=1) at x.c:1\n", "", "", "/x")
	})
}
