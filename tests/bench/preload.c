/* Three system calls that valgrind does not know everywhere (3.19 does not), and httpd's parent needs to start the supervisor: done
 * otherwise, for instructions.py. A process descriptor comes from instructions.py itself, over the socket that PIDFD_SOCKET names.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

static long process_descriptor(int pid)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    union {
        struct cmsghdr header;
        char room[CMSG_SPACE(sizeof(int))];
    } control;
    char byte;
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int found = -1, asked = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    strncpy(address.sun_path, getenv("PIDFD_SOCKET"), sizeof(address.sun_path) - 1);
    if (connect(asked, (struct sockaddr *)&address, sizeof(address)) == 0 && write(asked, &pid, sizeof(pid)) == sizeof(pid)
        && recvmsg(asked, &message, MSG_CMSG_CLOEXEC) == 1 && CMSG_FIRSTHDR(&message))
        memcpy(&found, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(found));
    close(asked);
    if (found < 0)
        errno = ESRCH;
    return found;
}

static long close_all(unsigned first, unsigned last)
{
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    for (; first <= last && first < limit.rlim_cur; first++)
        close((int)first);
    return 0;
}

static long execute(int file, char **arguments, char **environment)
{
    char path[64];
    snprintf(path, sizeof(path), "/proc/self/fd/%d", file);
    return execve(path, arguments, environment);
}

long syscall(long number, ...)
{
    static long (*next)(long, ...);
    long word[6];
    va_list words;
    va_start(words, number);
    for (int index = 0; index < 6; index++)
        word[index] = va_arg(words, long);
    va_end(words);
    if (number == SYS_pidfd_open)
        return process_descriptor((int)word[0]);
    if (number == SYS_close_range)
        return close_all((unsigned)word[0], (unsigned)word[1]);
    if (number == SYS_execveat)
        return execute((int)word[0], (char **)word[2], (char **)word[3]);
    if (!next)
        next = (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall");
    return next(number, word[0], word[1], word[2], word[3], word[4], word[5]);
}
