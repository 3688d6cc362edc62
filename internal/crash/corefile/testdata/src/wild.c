/* A call of address 0. */
__attribute__((noinline)) int call(int (*f)(int)) { return f(1) + 1; }

int main(int argc, char **argv) { return call(argc > 9 ? (int (*)(int))main : 0) + 1; }
