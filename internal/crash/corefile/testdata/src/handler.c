/* A handler of SIGSEGV, on a stack of its own, aborts. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

__attribute__((noinline)) void give_up(int s) { abort(); }

static void handler(int s, siginfo_t *i, void *u) { give_up(s); }

__attribute__((noinline)) int boom(volatile int *p) { return *p; }

int main(void) {
	struct sigaction sa;
	stack_t stack = {malloc(1 << 16), 0, 1 << 16};
	memset(&sa, 0, sizeof sa);
	sa.sa_sigaction = handler;
	sa.sa_flags = SA_SIGINFO | SA_ONSTACK;
	sigaltstack(&stack, 0);
	sigaction(SIGSEGV, &sa, 0);
	return boom(0) + 1;
}
