/* The return address is overwritten with an invalid one. */
#include <string.h>

__attribute__((noinline)) void smash(char *from, unsigned n) {
	char b[8];
	memcpy(b, from, n);
	__asm__ volatile("" ::"r"(b) : "memory");
}

int main(int argc, char **argv) {
	char text[65];
	memset(text, 'A', sizeof text);
	smash(text, 64);
	return 0;
}
