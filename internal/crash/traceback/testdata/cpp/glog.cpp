// Ends in the way its argument names, with Google's glog.
#include <glog/logging.h>

int main(int, char **argv) {
    google::InitGoogleLogging(argv[0]);
    FLAGS_logtostderr = true;
    std::string how = argv[1];
    LOG(INFO) << "ordinary line before";
    if (how == "check") CHECK_EQ(how.size(), 3u) << "sizes";
    if (how == "fatal") LOG(FATAL) << "boom";
    if (how == "segv") {
        google::InstallFailureSignalHandler();
        *(volatile int *)8 = 1;
    }
}
