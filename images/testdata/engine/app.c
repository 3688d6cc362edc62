// The tests run this app in containers: each argument list makes it do one thing that an app may
// do to wrapp or to the engine. It is static, so that it runs in both images.
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

static volatile sig_atomic_t beating = 1, stopped, hups;

static void on_signal(int s) {
	if (s == SIGUSR1) beating = 0;
	if (s == SIGUSR2) beating = 1;
	if (s == SIGHUP) hups++;
	if (s == SIGTERM) stopped = 1;
}

static void handle(int s) {
	struct sigaction a = {.sa_handler = on_signal};
	sigaction(s, &a, NULL);
}

// who prints the app's user, groups, home and privileges.
static int who(void) {
	gid_t groups[64];
	int n = getgroups(64, groups);
	printf("uid %d gid %d groups", getuid(), getgid());
	for (int i = 0; i < n; i++) printf(" %d", groups[i]);
	printf("\nhome %s user %s\n", getenv("HOME") ? getenv("HOME") : "-", getenv("USER") ? getenv("USER") : "-");
	printf("new privileges %d\n", !prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0));
	return 0;
}

// orphans leaves grandchildren behind: n that have ended, and one in its own session that runs
// on.
static int orphans(int n) {
	for (int i = 0; i < n; i++) {
		if (fork() == 0) {
			if (fork() == 0) exit(0);
			exit(0);
		}
		wait(NULL);
	}
	int ready[2];
	char c;
	if (pipe(ready)) return 1;
	if (fork() == 0) {
		setsid();
		if (fork() == 0) {
			signal(SIGTERM, SIG_IGN);
			if (write(ready[1], "", 1) != 1) exit(1);
			for (;;) pause();
		}
		exit(0);
	}
	wait(NULL);
	if (read(ready[0], &c, 1) != 1) return 1;
	return 0;
}

__attribute__((noinline)) static int read_frame(volatile int *frame) {
	return *frame + 1;
}

static int usage(void) {
	fprintf(stderr, "usage: app exit N | kill N | crash | who | quick | deaf | beat | hup | eat | eat-later | orphans N | lines N LENGTH MICROSECONDS | write FILE BYTES | files\n");
	return 2;
}

int main(int argc, char **argv) {
	setvbuf(stdout, NULL, _IOLBF, 0);
	if (argc < 2) return usage();
	const char *what = argv[1];
	int n = argc > 2 ? atoi(argv[2]) : 0;

	if (!strcmp(what, "exit")) {
		printf("about to exit\n");
		return n;
	}
	if (!strcmp(what, "kill")) {
		signal(n, SIG_DFL);
		kill(getpid(), n);
		pause();
	}
	if (!strcmp(what, "crash")) {
		printf("about to crash\n");
		return read_frame(NULL);
	}
	if (!strcmp(what, "who")) return who();
	if (!strcmp(what, "quick")) {
		handle(SIGTERM);
		printf("ready\n");
		while (!stopped) usleep(10 * 1000); // pause() would miss a signal just before it
		printf("bye\n");
		return 0;
	}
	if (!strcmp(what, "deaf")) {
		signal(SIGTERM, SIG_IGN);
		printf("ready\n");
		for (;;) pause();
	}
	if (!strcmp(what, "hup")) {
		handle(SIGHUP);
		printf("ready\n");
		while (!hups) usleep(10 * 1000);
		printf("hup\n");
		return 3;
	}
	if (!strcmp(what, "beat")) {
		handle(SIGUSR1);
		handle(SIGUSR2);
		printf("ready\n");
		for (;;) {
			if (beating) printf("{{__healthpool__api_beats}}\n");
			usleep(100 * 1000);
		}
	}
	if (!strcmp(what, "eat-later")) {
		handle(SIGUSR1);
		printf("ready\n");
		while (beating) usleep(10 * 1000);
		what = "eat";
	}
	if (!strcmp(what, "eat")) {
		printf("hungry\n");
		for (;;) memset(malloc(1 << 20), 1, 1 << 20);
	}
	if (!strcmp(what, "orphans")) {
		int status = orphans(n);
		printf("left\n");
		return status;
	}
	if (!strcmp(what, "lines") && argc == 5) {
		int length = atoi(argv[3]), pause = atoi(argv[4]);
		for (int i = 0; i < n; i++) {
			int w = printf("line %d ", i);
			for (; w < length; w++) putchar('a' + w % 26);
			putchar('\n');
			if (pause) usleep(pause);
		}
		fprintf(stderr, "all written\n");
		return 0;
	}
	if (!strcmp(what, "write") && argc == 4) {
		int fd = open(argv[2], O_CREAT | O_WRONLY | O_TRUNC, 0600);
		if (fd < 0) {
			printf("open: %s\n", strerror(errno));
			return 1;
		}
		static char block[4096];
		for (long left = atol(argv[3]); left > 0; left -= sizeof block)
			if (write(fd, block, sizeof block) < 0) {
				printf("write: %s\n", strerror(errno));
				return 1;
			}
		return 0;
	}
	if (!strcmp(what, "files")) {
		struct rlimit l;
		getrlimit(RLIMIT_NOFILE, &l);
		printf("files %ld\n", (long)l.rlim_cur);
		return 0;
	}
	return usage();
}
