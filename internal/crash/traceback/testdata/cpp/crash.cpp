// Ends in the way its argument names.
#include <cassert>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <pthread.h>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

struct Plain {};

struct Base {
    Base() { call(); }
    void call() { work(); }
    virtual void work() = 0;
};

struct Derived : Base {
    void work() override {}
};

static void smash(char *into, size_t n) { memset(into, 'x', n); }

static int raced;

int main(int, char **argv) {
    std::string how = argv[1];
    fprintf(stderr, "ordinary line before: terminate called is only words here\n");
    if (how == "throw") throw std::runtime_error("boom");
    if (how == "lines") throw std::runtime_error("first line\nsecond line");
    if (how == "plain") throw Plain{};
    if (how == "int") throw 7;
    if (how == "terminate") std::terminate();
    if (how == "virtual") Derived d;
    if (how == "thread") std::thread t([] {}); // destroyed while joinable
    if (how == "assert") assert(how == "something else" && "a reason");
    if (how == "vector") {
        std::vector<int> v(3);
        printf("%d\n", v[how.size()]);
    }
    if (how == "smash") {
        char small[8];
        smash(small, 64 + how.size());
    }
    if (how == "fortify") {
        char small[8];
        sprintf(small, "%s", argv[2]);
        puts(small);
    }
    if (how == "doublefree") {
        void *p = malloc(100);
        free(p);
        free(p);
    }
    if (how == "badfree") free((char *)malloc(64) + 16);
    if (how == "corrupt") {
        char *p = (char *)malloc(24);
        memset(p, 0xff, 40);
        free(malloc(5000));
        malloc(60000);
    }
    // For the sanitizers.
    if (how == "useafter") {
        int *p = new int[10];
        delete[] p;
        printf("%d\n", p[how.size() - 7]);
    }
    if (how == "stack") {
        int a[4] = {0};
        printf("%d\n", a[how.size()]);
    }
    if (how == "null") *(volatile int *)(how.size() - 4) = 1;
    if (how == "leak") {
        void *volatile p = malloc(77);
        p = malloc(33);
        p = nullptr;
    }
    if (how == "undefined") {
        int n = 0x7fffffff;
        n += (int)how.size();
        printf("%d\n", n << 40);
    }
    if (how == "race") {
        std::thread a([] { raced++; }), b([] { raced++; });
        a.join();
        b.join();
    }
    fprintf(stderr, "ordinary line after\n");
}
