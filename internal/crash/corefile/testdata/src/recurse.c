/* Endless recursion. */
volatile int sink;

__attribute__((noinline)) int recurse(int n) {
	volatile char b[64];
	b[0] = n;
	sink = recurse(n + 1) + b[0];
	return sink;
}

int main(void) { return recurse(0); }
