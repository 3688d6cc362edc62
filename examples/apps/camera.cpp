// g++ -g -o camera camera.cpp
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

// notify is sd_notify(3) without libsystemd.
static void notify(const std::string &state) {
	const char *path = getenv("NOTIFY_SOCKET");
	if (path == nullptr) {
		return;
	}
	sockaddr_un address{};
	address.sun_family = AF_UNIX;
	strncpy(address.sun_path, path, sizeof(address.sun_path) - 1);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	sendto(fd, state.data(), state.size(), 0, reinterpret_cast<sockaddr *>(&address), sizeof(address));
	close(fd);
}

static void capture(int frame, const int *sensor) {
	printf("frame %d of sensor %d{{frames}}{{__healthpool__frames_beats}}\n", frame, *sensor);
}

int main() {
	setvbuf(stdout, nullptr, _IOLBF, 0); // write each line at once, although stdout is a pipe
	puts("camera starts{{temperature:42}}");
	fputs("WARNING: sensor is warm\n", stderr);
	notify("READY=1");
	int sensor = 1;
	for (int frame = 1;; frame++) {
		capture(frame, std::filesystem::exists("crash") ? nullptr : &sensor);
		notify("WATCHDOG=1");
		usleep(100'000);
	}
}
