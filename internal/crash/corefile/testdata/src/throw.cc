// An uncaught exception.
#include <stdexcept>
#include <string>
#include <vector>

namespace shop {
template <class T> struct Cart {
	std::vector<T> items;
	__attribute__((noinline)) T at(unsigned i) const {
		if (i >= items.size())
			throw std::out_of_range("no such item");
		return items[i];
	}
};

__attribute__((noinline)) int total(const Cart<int> &c, const std::string &s) { return c.at(7) + s.size(); }
} // namespace shop

int main() {
	shop::Cart<int> c;
	auto sum = [&](int x) { return shop::total(c, "abc") + x; };
	return sum(3);
}
