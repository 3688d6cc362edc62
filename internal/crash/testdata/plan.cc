// A fault some calls down, on the main thread or, with an argument, on another one. With
// ELSEWHERE it is in another function of the same depth.
#include <functional>
#include <string>
#include <thread>

#define CALL __attribute__((noinline, noclone))

static int *volatile nowhere;

namespace {
struct Plan {
	virtual ~Plan() = default;
	virtual int run(const std::string &why) const;
	virtual int walk(const std::string &why) const;
};
CALL int touch(const std::string &why) { return *nowhere + why.size(); }
CALL int Plan::run(const std::string &why) const { return touch(why) + 1; }
CALL int Plan::walk(const std::string &why) const { return touch(why) + 2; }
} // namespace

namespace shop {
template <class T, int N> struct Bag {
	CALL T operator()(const std::function<T(T)> &f) const { return f(N) + 1; }
};
} // namespace shop

CALL int work() {
	Plan plan;
	auto step = [&](int n) {
#ifdef ELSEWHERE
		return plan.walk("a reason") + n;
#else
		return plan.run("a reason") + n;
#endif
	};
	return shop::Bag<int, 3>()(step) + 1;
}

int main(int argc, char **) {
	int sum = 0;
	if (argc > 1)
		std::thread([&] { sum = work(); }).join();
	else
		sum = work();
	return sum;
}
