/* Three threads wait; a fourth one reads from address 0, some calls deep. */
#include <pthread.h>
#include <unistd.h>

static pthread_barrier_t ready;

__attribute__((noinline)) static int inner(int *p, int n) { return *p + n; }

__attribute__((noinline)) int middle(int *p, int n) {
	int r = inner(p, n + 1);
	return r * 2;
}

static inline __attribute__((always_inline)) int inlined(int *p, int n) {
	int r = middle(p, n);
	return r + 1;
}

__attribute__((noinline)) int outer(int *p, int n) {
	int r = inlined(p, n + 1);
	return r * 3;
}

static void *waiter(void *arg) {
	pthread_barrier_wait(&ready);
	for (;;)
		pause();
	return arg;
}

int main(int argc, char **argv) {
	int threads = argv[1] ? 200 : 3;
	pthread_barrier_init(&ready, 0, threads + 1);
	for (int i = 0; i < threads; i++) {
		pthread_t t;
		pthread_create(&t, 0, waiter, 0);
	}
	pthread_barrier_wait(&ready);
	return outer(argc > 5 ? &argc : 0, argc);
}
