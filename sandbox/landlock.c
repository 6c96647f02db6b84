/* landlock.c - a second wall around the file system, in the kernel's access checks. */
#include "sandbox/landlock.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

/* Numbers of the kernel's interface (Documentation/userspace-api/landlock.rst), here
 * because headers of older kernels lack the later ones. */
enum {
    FS_EXECUTE = 1 << 0,
    FS_WRITE_FILE = 1 << 1,
    FS_READ_FILE = 1 << 2,
    FS_READ_DIR = 1 << 3,
    FS_REMOVE_DIR = 1 << 4,
    FS_REMOVE_FILE = 1 << 5,
    FS_MAKE_CHAR = 1 << 6,
    FS_MAKE_BLOCK = 1 << 11,
    FS_ABI1 = (1 << 13) - 1,
    FS_REFER = 1 << 13,     /* ABI 2 */
    FS_TRUNCATE = 1 << 14,  /* ABI 3 */
    FS_IOCTL_DEV = 1 << 15, /* ABI 5 */
    NET_TCP = 3,            /* ABI 4: bind and connect      */
    SCOPE_ALL = 3,          /* ABI 6: abstract unix, signal */
};
enum { CREATE_VERSION = 1, RULE_PATH = 1 };

struct ruleset_attr {
    uint64_t fs, net, scoped;
};
struct path_attr {
    uint64_t allowed;
    int32_t fd;
} __attribute__((packed));

static int create(const struct ruleset_attr *a, size_t n, uint32_t flags)
{
    return (int)syscall(SYS_landlock_create_ruleset, a, n, flags);
}

int landlock_abi(void)
{
    const int abi = create(NULL, 0, CREATE_VERSION);
    return abi < 0 ? 0 : abi;
}

static uint64_t known_rights(int abi)
{
    uint64_t fs = FS_ABI1;
    if (abi >= 2) fs |= FS_REFER;
    if (abi >= 3) fs |= FS_TRUNCATE;
    if (abi >= 5) fs |= FS_IOCTL_DEV;
    return fs;
}

static int add_path(int ruleset, const char *path, uint64_t rights)
{
    const int fd = open(path, O_PATH | O_CLOEXEC);
    if (fd < 0) return errno == ENOENT ? 0 : errno;
    struct stat st;
    int failure = fstat(fd, &st) ? errno : 0;
    if (!failure) {
        /* A rule on a file may only name rights that files have. */
        const uint64_t of_files =
            FS_EXECUTE | FS_WRITE_FILE | FS_READ_FILE | FS_TRUNCATE | FS_IOCTL_DEV;
        const struct path_attr rule = {S_ISDIR(st.st_mode) ? rights : rights & of_files, fd};
        if (syscall(SYS_landlock_add_rule, ruleset, RULE_PATH, &rule, 0)) failure = errno;
    }
    close(fd);
    return failure;
}

int landlock_apply(int abi, const char *const *readable, const char *const *writable)
{
    const uint64_t all = known_rights(abi);
    const uint64_t read_rights = FS_EXECUTE | FS_READ_FILE | FS_READ_DIR;
    const uint64_t write_rights =
        all & ~(uint64_t)(FS_MAKE_CHAR | FS_MAKE_BLOCK | FS_IOCTL_DEV);
    const struct ruleset_attr attr = {
        .fs = all,
        .net = abi >= 4 ? NET_TCP : 0,
        .scoped = abi >= 6 ? SCOPE_ALL : 0,
    };
    /* Older kernels know a shorter struct and refuse set bytes beyond it only. */
    const int ruleset = create(&attr, sizeof attr, 0);
    if (ruleset < 0) return errno;
    int failure = 0;
    for (; *readable && !failure; readable++) {
        failure = add_path(ruleset, *readable, read_rights);
    }
    for (; *writable && !failure; writable++) {
        failure = add_path(ruleset, *writable, write_rights);
    }
    if (!failure && syscall(SYS_landlock_restrict_self, ruleset, 0)) failure = errno;
    close(ruleset);
    return failure;
}
