/* Preloaded into a server: makes its disk fail on demand, the way the kernel
 * reports it. While the file NAME is in the directory OUBLIETTE_TEST_FAULTS,
 * that call fails with EIO on every file that was opened as a database or its
 * log: `fsync` (nothing is flushed), `write` (nothing is written), `torn`
 * (half is written). `full`: nothing is written, with ENOSPC. `hang`: a flush
 * does not come back for as long as the file is there. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { FILES = 1 << 16 };
static char is_database[FILES];

static int fails(int fd, const char *name) {
    const char *faults = getenv("OUBLIETTE_TEST_FAULTS");
    char path[4096];
    if (fd < 0 || fd >= FILES || !is_database[fd] || !faults) return 0;
    snprintf(path, sizeof path, "%s/%s", faults, name);
    int saved = errno, there = access(path, F_OK) == 0;
    errno = saved;
    return there;
}

static int noted(int fd, const char *path) {
    if (fd >= 0 && fd < FILES) is_database[fd] = strstr(path, ".db") != NULL;
    return fd;
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))
#define OPEN(name)                                                            \
    int name(const char *path, int flags, ...) {                              \
        va_list rest;                                                         \
        va_start(rest, flags);                                                \
        int mode = va_arg(rest, int);                                         \
        va_end(rest);                                                         \
        return noted(REAL(name)(path, flags, mode), path);                    \
    }
#define FLUSH(name)                                                           \
    int name(int fd) {                                                        \
        while (fails(fd, "hang")) usleep(1000);                               \
        if (!fails(fd, "fsync")) return REAL(name)(fd);                       \
        errno = EIO;                                                          \
        return -1;                                                            \
    }
#define WRITE(name, offset)                                                   \
    ssize_t name(int fd, const void *bytes, size_t length, offset at) {       \
        if (fails(fd, "full")) {                                              \
            errno = ENOSPC;                                                   \
            return -1;                                                        \
        }                                                                     \
        if (fails(fd, "torn")) (void)!REAL(name)(fd, bytes, length / 2, at);  \
        else if (!fails(fd, "write")) return REAL(name)(fd, bytes, length, at); \
        errno = EIO;                                                          \
        return -1;                                                            \
    }

OPEN(open)
OPEN(open64)
FLUSH(fsync)
FLUSH(fdatasync)
WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)
