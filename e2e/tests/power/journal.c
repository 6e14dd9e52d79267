/* Loaded before the C library, this notes in the file JOURNAL what is synced, made and renamed, in that order: "sync PATH",
 * "make PATH" of a folder, and "rename FROM TO", parted by tabs. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static void note(const char *what, const char *path, const char *to)
{
    char line[3 * PATH_MAX];
    int before = errno;
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\n", what, path, to);
    int journal = open(getenv("JOURNAL"), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);

    if (journal < 0 || write(journal, line, length) != length)
        abort();
    close(journal);
    errno = before;
}

static int synced(int file, int result)
{
    char link[64], path[PATH_MAX];
    ssize_t length;

    snprintf(link, sizeof link, "/proc/self/fd/%d", file);
    length = readlink(link, path, sizeof path - 1);
    if (result == 0 && length > 0) {
        path[length] = 0;
        note("sync", path, "");
    }
    return result;
}

int fsync(int file)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");

    return synced(file, next(file));
}

int fdatasync(int file)
{
    int (*next)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");

    return synced(file, next(file));
}

int rename(const char *from, const char *to)
{
    int (*next)(const char *, const char *) = (int (*)(const char *, const char *))dlsym(RTLD_NEXT, "rename");
    char was[PATH_MAX], is[PATH_MAX];
    int known = realpath(from, was) != NULL;
    int result = next(from, to);

    if (result == 0 && known && realpath(to, is))
        note("rename", was, is);
    return result;
}

int mkdir(const char *path, mode_t mode)
{
    int (*next)(const char *, mode_t) = (int (*)(const char *, mode_t))dlsym(RTLD_NEXT, "mkdir");
    char is[PATH_MAX];
    int result = next(path, mode);

    if (result == 0 && realpath(path, is))
        note("make", is, "");
    return result;
}
