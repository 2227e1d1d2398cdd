/* Preloaded into a server: its wall clock is ahead by OUBLIETTE_TEST_DAYS, and
 * by the seconds that stand in the file OUBLIETTE_TEST_CLOCK. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static long seconds_in(const char *path) {
    char text[32] = {0};
    int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return 0;
    if (read(file, text, sizeof text - 1) < 0) text[0] = 0;
    close(file);
    return atol(text);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
    int failed = (int)syscall(SYS_clock_gettime, clock, at);
    const char *days = getenv("OUBLIETTE_TEST_DAYS");
    const char *hands = getenv("OUBLIETTE_TEST_CLOCK");
    if (!failed && clock == CLOCK_REALTIME && days) at->tv_sec += atol(days) * 86400;
    if (!failed && clock == CLOCK_REALTIME && hands) at->tv_sec += seconds_in(hands);
    return failed;
}
