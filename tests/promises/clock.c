/* Preloaded into a server: its wall clock is ahead by OUBLIETTE_TEST_DAYS. */
#define _GNU_SOURCE
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = (int)syscall(SYS_clock_gettime, clock, at);
    const char *days = getenv("OUBLIETTE_TEST_DAYS");
    if (!failed && clock == CLOCK_REALTIME && days) at->tv_sec += atol(days) * 86400;
    return failed;
}
