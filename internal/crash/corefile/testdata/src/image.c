/* A library that needs nothing, small enough for a seed. */
__attribute__((noinline)) int inner(int *p, int n) { return *p + n; }

static inline __attribute__((always_inline)) int inlined(int *p, int n) {
	int r = inner(p, n);
	return r + 1;
}

__attribute__((noinline)) int outer(int *p, int n) {
	int r = inlined(p, n + 1);
	return r * 3;
}
