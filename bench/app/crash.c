// crash [MEGABYTES [THREADS]] touches so much memory and has so many threads, prints the time, in
// nanoseconds since 1970, and dies of a null pointer.
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static void *wait_for_ever(void *unused) {
	for (;;)
		pause();
	return unused;
}

int main(int argc, char **argv) {
	size_t bytes = argc > 1 ? strtoul(argv[1], NULL, 10) << 20 : 0;
	int threads = argc > 2 ? atoi(argv[2]) : 1; // with this one
	char *memory = malloc(bytes + 1);
	if (!memory)
		return 2;
	memset(memory, 'x', bytes + 1);
	pthread_t thread;
	for (int i = 1; i < threads; i++)
		if (pthread_create(&thread, NULL, wait_for_ever, NULL))
			return 2;
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	printf("%lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
	fflush(stdout);
	*(volatile int *)0 = memory[bytes];
}
