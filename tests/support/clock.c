// A clock on the wall that a test sets: it is off by as many seconds as the file says that
// TEST_CLOCK names. What runs under it (LD_PRELOAD) reads every other clock as it is.

#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    long failed = syscall(SYS_clock_gettime, clock, now);
    const char *name = getenv("TEST_CLOCK");
    if (failed == 0 && clock == CLOCK_REALTIME && name != NULL) {
        char text[32] = {0};
        int file = open(name, O_RDONLY | O_CLOEXEC);
        if (file >= 0) {
            if (read(file, text, sizeof text - 1) > 0) {
                now->tv_sec += atol(text);
            }
            close(file);
        }
    }
    return (int)failed;
}
