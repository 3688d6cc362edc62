// crash prints the time, in nanoseconds since 1970, and dies of a null pointer.
#include <stdio.h>
#include <time.h>
int main(void) {
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	printf("%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
	fflush(stdout);
	*(volatile int *)0 = 1;
}
