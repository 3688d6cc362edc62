// steady RATE LINES writes lines at a steady rate, and takes little CPU time itself. Each line
// has 92 bytes and begins with the time of its write, in nanoseconds of the wall clock. Above
// 1,000 lines a second they come in groups, every millisecond.
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv) {
	if (argc != 3)
		return 2;
	long rate = atol(argv[1]), lines = atol(argv[2]);
	if (rate < 1 || rate > 1000000)
		return 2;
	long group = rate > 1000 ? rate / 1000 : 1, tick = 1000000000 * group / rate;
	static char text[1000 * 93 + 1];
	struct timespec next, now;
	clock_gettime(CLOCK_MONOTONIC, &next);
	for (long i = 0; i < lines;) {
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
		next.tv_nsec += tick;
		next.tv_sec += next.tv_nsec / 1000000000;
		next.tv_nsec %= 1000000000;
		long size = 0;
		for (long j = 0; j < group && i < lines; j++, i++) {
			clock_gettime(CLOCK_REALTIME, &now);
			size += sprintf(text + size, "%010ld%09ld %072ld\n", (long)now.tv_sec, now.tv_nsec, i);
		}
		for (long done = 0, n; done < size; done += n)
			if ((n = write(1, text + done, size - done)) < 0)
				return 1;
	}
	return 0;
}
