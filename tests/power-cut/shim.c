/* Records what a program does to a store, so that a power cut can be played later; see
 * README.md. Each entry: kind u32, file u32, offset u64, length u64, extra u64, then length
 * bytes of data. Preloaded: it must not fail where the real call would not. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

enum kind {
    OPEN = 1, WRITE = 2, FSYNC = 3, FDATASYNC = 4, RENAME = 5, UNLINK = 6, TRUNCATE = 7,
    MKDIR = 8, ACKNOWLEDGED = 9, RMDIR = 10, ALLOCATE = 11, SYNC_FAILED = 12, UNSUPPORTED = 99,
};
/* What strikes at the change SHIM_FAULT_AT: death, or what a broken disk does. */
enum fault { NO_FAULT, KILL, FULL, READ_ONLY, SYNC_FAILS, WRITE_FAILS };
enum change { WRITING, SYNCING, NAMING };
enum { CREATED = 1, TRUNCATED = 2, DIRECTORY = 4 };
enum { FILES_MAX = 65536, ACK_FILE = -1 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_once_t once = PTHREAD_ONCE_INIT;
static int record = -1, watching;
static char store[PATH_MAX], ack[PATH_MAX];
static size_t store_length;
static int files[FILES_MAX];   /* descriptor -> number of the file, ACK_FILE, or 0 */
static char *paths[FILES_MAX]; /* descriptor -> path, for what is below the store */
static uint64_t entries;
static int file_count;
static int64_t space = INT64_MAX;
static enum fault fault;
static uint64_t changes, fault_at;

static void copy_variable(const char *name, char *to) {
    const char *value = getenv(name);
    if (value) snprintf(to, PATH_MAX, "%s", value);
}

static enum fault fault_of(const char *name) {
    const char *names[] = {"", "kill", "full", "read-only", "sync", "write"};
    for (int i = KILL; name && i <= WRITE_FAILS; i++)
        if (!strcmp(name, names[i])) return (enum fault)i;
    return NO_FAULT;
}

static void start(void) {
    copy_variable("SHIM_STORE", store);
    copy_variable("SHIM_ACK", ack);
    store_length = strlen(store);
    const char *path = getenv("SHIM_LOG"), *bytes = getenv("SHIM_SPACE");
    if (path) record = (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0644);
    if (bytes) space = atoll(bytes);
    const char *at = getenv("SHIM_FAULT_AT");
    fault = fault_of(getenv("SHIM_FAULT"));
    fault_at = at ? (uint64_t)atoll(at) : 0;
    watching = store_length && (record >= 0 || bytes || fault);
}

static void put_bytes(const void *bytes, size_t length) {
    while (length) {
        ssize_t done = syscall(SYS_write, record, bytes, length);
        if (done <= 0) abort(); /* a record with a hole would accuse the innocent */
        bytes = (const char *)bytes + done;
        length -= (size_t)done;
    }
}

static void put(uint32_t kind, int file, uint64_t offset, const void *data, uint64_t length, uint64_t extra) {
    if (record < 0) return;
    struct { uint32_t kind, file; uint64_t offset, length, extra; } head = {kind, (uint32_t)file, offset, length, extra};
    put_bytes(&head, sizeof head);
    if (length) put_bytes(data, length);
    entries++;
}

static void enter(void) {
    pthread_once(&once, start);
    if (watching) pthread_mutex_lock(&lock);
}

static void leave(int error) {
    if (watching) pthread_mutex_unlock(&lock);
    errno = error;
}

static int below(const char *path) {
    return watching && !strncmp(path, store, store_length) && (path[store_length] == '/' || !path[store_length]);
}

static int known(int fd) { return watching && fd >= 0 && fd < FILES_MAX ? files[fd] : 0; }

/* The path of a name relative to a directory; empty if it is none of ours. */
static void resolve(int directory, const char *name, char *path) {
    path[0] = 0;
    if (!watching) return;
    if (name[0] == '/' || directory == AT_FDCWD) snprintf(path, PATH_MAX, "%s", name);
    else if (directory >= 0 && directory < FILES_MAX && paths[directory]) {
        int length = snprintf(path, PATH_MAX, "%s/%s", paths[directory], name);
        if (length >= PATH_MAX) path[0] = 0;
    }
}

/* Counts a change that is about to happen; answers the error it gets instead, or 0. */
static int strikes(enum change kind) {
    if (!fault || ++changes < fault_at) return 0;
    switch (fault) {
    case KILL: syscall(SYS_kill, getpid(), SIGKILL); return 0;
    case FULL: space = 0; fault = NO_FAULT; return 0;
    case READ_ONLY: return EROFS;
    case SYNC_FAILS: if (kind != SYNCING) return 0; fault = NO_FAULT; return EIO;
    case WRITE_FAILS: if (kind != WRITING) return 0; fault = NO_FAULT; return EIO;
    default: return 0;
    }
}

static void unsupported(const char *what) { put(UNSUPPORTED, 0, 0, what, strlen(what), 0); }

static void forget(int fd) {
    if (!watching || fd < 0 || fd >= FILES_MAX) return;
    files[fd] = 0;
    free(paths[fd]);
    paths[fd] = NULL;
}

static int open_file(int directory, const char *name, int flags, mode_t mode) {
    char path[PATH_MAX];
    enter();
    resolve(directory, name, path);
    int there = !path[0] || access(path, F_OK) == 0;
    int changes_it = path[0] && below(path) && (flags & (O_CREAT | O_TRUNC | O_WRONLY | O_RDWR));
    int refused = changes_it ? strikes(NAMING) : 0;
    int fd = refused ? -1 : (int)syscall(SYS_openat, directory, name, flags, mode);
    int error = refused ? refused : errno;
    if (watching && fd >= 0 && fd < FILES_MAX) {
        forget(fd);
        if (path[0] && below(path)) {
            struct stat status;
            uint64_t how = there ? 0 : CREATED;
            if (flags & O_TRUNC) how |= TRUNCATED;
            if (!fstat(fd, &status) && S_ISDIR(status.st_mode)) how |= DIRECTORY;
            files[fd] = ++file_count;
            paths[fd] = strdup(path);
            put(OPEN, files[fd], how, path, strlen(path), 0);
        } else if (path[0] && ack[0] && !strcmp(path, ack)) files[fd] = ACK_FILE;
    }
    leave(error);
    return fd;
}

#define MODE(mode) va_list rest; va_start(rest, flags); mode_t mode = va_arg(rest, int); va_end(rest)
int open(const char *path, int flags, ...) { MODE(mode); return open_file(AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE(mode); return open_file(AT_FDCWD, path, flags, mode); }
int openat(int directory, const char *path, int flags, ...) { MODE(mode); return open_file(directory, path, flags, mode); }
int openat64(int directory, const char *path, int flags, ...) { MODE(mode); return open_file(directory, path, flags, mode); }
int creat(const char *path, mode_t mode) { return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }
int creat64(const char *path, mode_t mode) { return open_file(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); }

int close(int fd) {
    enter();
    forget(fd);
    int result = (int)syscall(SYS_close, fd);
    leave(errno);
    return result;
}

/* Whether a write may go on: takes what the file would grow by from the space there is. */
static int has_space(int fd, int64_t end) {
    struct stat status;
    if (space == INT64_MAX || fstat(fd, &status) || end <= status.st_size) return 1;
    if (end - status.st_size > space) return 0;
    space -= end - status.st_size;
    return 1;
}

static ssize_t write_at(int fd, const void *data, size_t length, off64_t offset, int moves) {
    enter();
    int file = known(fd);
    if (moves && file > 0) offset = lseek(fd, 0, (fcntl(fd, F_GETFL) & O_APPEND) ? SEEK_END : SEEK_CUR);
    ssize_t done;
    int refused = file > 0 ? strikes(WRITING) : 0;
    if (refused) {
        done = -1;
        errno = refused;
    } else if (file > 0 && !has_space(fd, offset + (int64_t)length)) {
        done = -1;
        errno = ENOSPC;
    } else done = moves ? syscall(SYS_write, fd, data, length) : syscall(SYS_pwrite64, fd, data, length, offset);
    int error = errno;
    if (done > 0 && file == ACK_FILE) put(ACKNOWLEDGED, 0, 0, data, (uint64_t)done, 0);
    if (done > 0 && file > 0) put(WRITE, file, (uint64_t)offset, data, (uint64_t)done, 0);
    leave(error);
    return done;
}

ssize_t write(int fd, const void *data, size_t length) { return write_at(fd, data, length, 0, 1); }
ssize_t pwrite(int fd, const void *data, size_t length, off_t offset) { return write_at(fd, data, length, offset, 0); }
ssize_t pwrite64(int fd, const void *data, size_t length, off64_t offset) { return write_at(fd, data, length, offset, 0); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    if (!known(fd)) return syscall(SYS_writev, fd, parts, count);
    for (int i = 0; i < count; i++) /* a short write is allowed: the first part only */
        if (parts[i].iov_len) return write(fd, parts[i].iov_base, parts[i].iov_len);
    return 0;
}

static int sync_file(int fd, long call, uint32_t kind) {
    enter();
    int file = known(fd);
    uint64_t covered = entries; /* what was recorded before the call began */
    int refused = file > 0 ? strikes(SYNCING) : 0;
    leave(0);
    int result = refused ? -1 : (int)syscall(call, fd), error = refused ? refused : errno;
    if (file > 0) {
        enter();
        put(result ? SYNC_FAILED : kind, file, 0, NULL, 0, covered);
        leave(error);
    }
    errno = error;
    return result;
}

int fsync(int fd) { return sync_file(fd, SYS_fsync, FSYNC); }
int fdatasync(int fd) { return sync_file(fd, SYS_fdatasync, FDATASYNC); }

/* Names. */
static int name_call(uint32_t kind, long call, int directory, const char *name, long argument) {
    char path[PATH_MAX];
    struct stat status;
    enter();
    resolve(directory, name, path);
    int ours = path[0] && below(path);
    int64_t freed = ours && kind == UNLINK && !lstat(path, &status) ? status.st_size : 0;
    int refused = ours ? strikes(NAMING) : 0;
    int result = refused ? -1 : (int)syscall(call, directory, name, argument);
    int error = refused ? refused : errno;
    if (ours && !result) {
        if (space != INT64_MAX) space += freed;
        put(kind, 0, 0, path, strlen(path), 0);
    }
    leave(error);
    return result;
}

int unlinkat(int directory, const char *name, int flags) {
    return name_call(flags & AT_REMOVEDIR ? RMDIR : UNLINK, SYS_unlinkat, directory, name, flags);
}
int unlink(const char *path) { return unlinkat(AT_FDCWD, path, 0); }
int rmdir(const char *path) { return unlinkat(AT_FDCWD, path, AT_REMOVEDIR); }
int mkdirat(int directory, const char *name, mode_t mode) { return name_call(MKDIR, SYS_mkdirat, directory, name, mode); }
int mkdir(const char *path, mode_t mode) { return mkdirat(AT_FDCWD, path, mode); }

int renameat2(int from_directory, const char *from, int to_directory, const char *to, unsigned flags) {
    char old_path[PATH_MAX], new_path[PATH_MAX];
    enter();
    resolve(from_directory, from, old_path);
    resolve(to_directory, to, new_path);
    int refused = watching && (below(old_path) || below(new_path)) ? strikes(NAMING) : 0;
    int result = refused ? -1 : (int)syscall(SYS_renameat2, from_directory, from, to_directory, to, flags);
    int error = refused ? refused : errno;
    if (!result && watching && (below(old_path) || below(new_path))) {
        if (flags || !below(old_path) || !below(new_path)) unsupported("rename across the store's edge");
        size_t old_length = strlen(old_path) + 1;
        char *both = malloc(old_length + strlen(new_path));
        memcpy(both, old_path, old_length);
        memcpy(both + old_length, new_path, strlen(new_path));
        put(RENAME, 0, 0, both, old_length + strlen(new_path), 0);
        free(both);
    }
    leave(error);
    return result;
}
int renameat(int from_directory, const char *from, int to_directory, const char *to) { return renameat2(from_directory, from, to_directory, to, 0); }
int rename(const char *from, const char *to) { return renameat2(AT_FDCWD, from, AT_FDCWD, to, 0); }

/* Sizes. */
int ftruncate64(int fd, off64_t size) {
    enter();
    int file = known(fd), result = -1, refused = file > 0 ? strikes(WRITING) : 0;
    if (refused) errno = refused;
    else if (file > 0 && !has_space(fd, size)) errno = ENOSPC;
    else result = (int)syscall(SYS_ftruncate, fd, size);
    int error = errno;
    if (file > 0 && !result) put(TRUNCATE, file, (uint64_t)size, NULL, 0, 0);
    leave(error);
    return result;
}
int ftruncate(int fd, off_t size) { return ftruncate64(fd, size); }

int fallocate64(int fd, int mode, off64_t offset, off64_t length) {
    enter();
    int file = known(fd), result = -1, refused = file > 0 ? strikes(WRITING) : 0;
    if (file > 0 && mode) unsupported("fallocate with a mode");
    if (refused) errno = refused;
    else if (file > 0 && !has_space(fd, offset + length)) errno = ENOSPC;
    else result = (int)syscall(SYS_fallocate, fd, mode, offset, length);
    int error = errno;
    if (file > 0 && !result) put(ALLOCATE, file, (uint64_t)offset, NULL, 0, (uint64_t)length);
    leave(error);
    return result;
}
int fallocate(int fd, int mode, off_t offset, off_t length) { return fallocate64(fd, mode, offset, length); }
int posix_fallocate64(int fd, off64_t offset, off64_t length) { return fallocate64(fd, 0, offset, length) ? errno : 0; }
int posix_fallocate(int fd, off_t offset, off_t length) { return posix_fallocate64(fd, offset, length); }

/* Calls the model of the disk does not know: seen below the store, they fail the test. */
static void note(int fd, const char *what) {
    enter();
    if (known(fd) > 0) unsupported(what);
    leave(errno);
}

ssize_t copy_file_range(int from, off64_t *from_offset, int to, off64_t *to_offset, size_t length, unsigned flags) {
    note(to, "copy_file_range");
    return syscall(SYS_copy_file_range, from, from_offset, to, to_offset, length, flags);
}
ssize_t sendfile64(int to, int from, off64_t *offset, size_t length) {
    note(to, "sendfile");
    return syscall(SYS_sendfile, to, from, offset, length);
}
ssize_t pwritev64(int fd, const struct iovec *parts, int count, off64_t offset) {
    note(fd, "pwritev");
    return syscall(SYS_pwritev, fd, parts, count, offset, 0);
}
int linkat(int from_directory, const char *from, int to_directory, const char *to, int flags) {
    char path[PATH_MAX];
    enter();
    resolve(to_directory, to, path);
    if (path[0] && below(path)) unsupported("link");
    leave(errno);
    return (int)syscall(SYS_linkat, from_directory, from, to_directory, to, flags);
}
int link(const char *from, const char *to) { return linkat(AT_FDCWD, from, AT_FDCWD, to, 0); }
int symlink(const char *from, const char *to) {
    enter();
    if (below(to)) unsupported("symlink");
    leave(errno);
    return (int)syscall(SYS_symlinkat, from, AT_FDCWD, to);
}
int truncate64(const char *path, off64_t size) {
    enter();
    if (below(path)) unsupported("truncate by path");
    leave(errno);
    return (int)syscall(SYS_truncate, path, size);
}
void *mmap64(void *at, size_t length, int protection, int flags, int fd, off64_t offset) {
    if (fd >= 0 && (flags & MAP_SHARED) && (protection & PROT_WRITE)) note(fd, "a shared mapping");
    return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}
void *mmap(void *at, size_t length, int protection, int flags, int fd, off_t offset) { return mmap64(at, length, protection, flags, fd, offset); }
static int duplicated(int from, int to) {
    enter();
    if (known(from) && to >= 0) unsupported("dup");
    leave(errno);
    return to;
}
int dup(int fd) { return duplicated(fd, (int)syscall(SYS_dup, fd)); }
int dup3(int fd, int to, int flags) { return duplicated(fd, (int)syscall(SYS_dup3, fd, to, flags)); }
int dup2(int fd, int to) { return fd == to ? to : dup3(fd, to, 0); }
