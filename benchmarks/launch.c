/* Run one program and tell what it cost: launch STDIN STDOUT PROGRAM [ARGUMENT ...]
 *
 * Prints user and system CPU and wall time in microseconds, peak resident memory in KiB, and the
 * exit code, or 128 + the signal. A program of its own, and static: the peak that the kernel
 * accounts to a child includes the pages of the process that it was forked from, so that a parent
 * as large as Python would hide every child smaller than itself.
 */
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long microseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000LL + now.tv_nsec / 1000;
}

static long long of(struct timeval time)
{
    return time.tv_sec * 1000000LL + time.tv_usec;
}

int main(int argc, char **argv)
{
    posix_spawn_file_actions_t files;
    struct rusage usage;
    pid_t child;
    int status, error;

    if (argc < 4) {
        fputs("usage: launch STDIN STDOUT PROGRAM [ARGUMENT ...]\n", stderr);
        return 2;
    }
    posix_spawn_file_actions_init(&files);
    posix_spawn_file_actions_addopen(&files, 0, argv[1], O_RDONLY, 0);
    posix_spawn_file_actions_addopen(&files, 1, argv[2], O_WRONLY | O_CREAT | O_TRUNC, 0600);
    long long started = microseconds();
    error = posix_spawn(&child, argv[3], &files, NULL, argv + 3, environ);
    if (error) {
        fprintf(stderr, "launch: %s: %s\n", argv[3], strerror(error));
        return 2;
    }
    if (wait4(child, &status, 0, &usage) < 0) {
        perror("launch: wait4");
        return 2;
    }
    long long ended = microseconds();
    printf("%lld %lld %lld %ld %d\n", of(usage.ru_utime), of(usage.ru_stime), ended - started,
           usage.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status));
    return 0;
}
