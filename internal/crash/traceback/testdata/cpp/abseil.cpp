// Ends in the way its argument names, with abseil.
#include <absl/debugging/failure_signal_handler.h>
#include <absl/debugging/symbolize.h>
#include <string>

int main(int, char **argv) {
    absl::InitializeSymbolizer(argv[0]);
    absl::InstallFailureSignalHandler({});
    std::string how = argv[1];
    fprintf(stderr, "ordinary line before\n");
    if (how == "segv") *(volatile int *)8 = 1;
    if (how == "abort") abort();
}
