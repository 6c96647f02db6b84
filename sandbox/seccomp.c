/* seccomp.c - which system calls reach the kernel.
 *
 * An allow list.  What is not on it answers ENOSYS, as an older kernel would: libc
 * and Python then fall back, where EPERM would be taken for the last word.  A
 * second list answers EPERM: calls that exist everywhere and that an honest program
 * may try and report.  Another architecture's calls end the process.
 *
 * Left out although harmless to others: memfd_create and System V shared memory and
 * queues.  They hold memory that no process has mapped, so nobody could count it. */
#include "sandbox/seccomp.h"

#include <asm/termbits.h>
#include <errno.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <seccomp.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define CALL(name) SCMP_SYS(name)

// clang-format off
static const int ALLOWED[] = {
    /* files below the private root */
    CALL(read), CALL(write), CALL(open), CALL(openat), CALL(openat2), CALL(creat),
    CALL(close), CALL(close_range), CALL(stat), CALL(fstat), CALL(lstat), CALL(newfstatat),
    CALL(statx), CALL(fstatat64), CALL(lseek), CALL(pread64), CALL(pwrite64), CALL(readv),
    CALL(writev), CALL(preadv), CALL(pwritev), CALL(preadv2), CALL(pwritev2), CALL(access),
    CALL(faccessat), CALL(faccessat2), CALL(dup), CALL(dup2), CALL(dup3), CALL(fcntl),
    CALL(flock), CALL(fsync), CALL(fdatasync), CALL(sync_file_range), CALL(truncate),
    CALL(ftruncate), CALL(fallocate), CALL(getdents), CALL(getdents64), CALL(getcwd),
    CALL(chdir), CALL(fchdir), CALL(rename), CALL(renameat), CALL(renameat2), CALL(mkdir),
    CALL(mkdirat), CALL(rmdir), CALL(link), CALL(linkat), CALL(unlink), CALL(unlinkat),
    CALL(symlink), CALL(symlinkat), CALL(readlink), CALL(readlinkat), CALL(chmod),
    CALL(fchmod), CALL(fchmodat), CALL(chown), CALL(fchown), CALL(lchown), CALL(fchownat),
    CALL(umask), CALL(utime), CALL(utimes), CALL(futimesat), CALL(utimensat), CALL(statfs),
    CALL(fstatfs), CALL(fadvise64), CALL(readahead), CALL(copy_file_range), CALL(sendfile),
    CALL(splice), CALL(tee), CALL(mknod), CALL(mknodat), CALL(getxattr), CALL(lgetxattr),
    CALL(fgetxattr), CALL(listxattr), CALL(llistxattr), CALL(flistxattr), CALL(setxattr),
    CALL(lsetxattr), CALL(fsetxattr), CALL(inotify_init), CALL(inotify_init1),
    CALL(inotify_add_watch), CALL(inotify_rm_watch),
    /* memory */
    CALL(mmap), CALL(munmap), CALL(mremap), CALL(mprotect), CALL(madvise), CALL(brk),
    CALL(mincore), CALL(msync), CALL(mlock), CALL(mlock2), CALL(munlock), CALL(mlockall),
    CALL(munlockall), CALL(membarrier), CALL(mbind), CALL(get_mempolicy),
    CALL(set_mempolicy), CALL(pkey_alloc), CALL(pkey_free), CALL(pkey_mprotect),
    /* processes and threads of the jail */
    CALL(fork), CALL(vfork), CALL(execve), CALL(execveat), CALL(exit), CALL(exit_group),
    CALL(wait4), CALL(waitid), CALL(set_tid_address), CALL(set_robust_list),
    CALL(get_robust_list), CALL(futex), CALL(rseq), CALL(arch_prctl), CALL(gettid),
    CALL(getpid), CALL(getppid), CALL(getpgid), CALL(getpgrp), CALL(getsid), CALL(setpgid),
    CALL(setsid), CALL(getuid), CALL(geteuid), CALL(getgid), CALL(getegid), CALL(getresuid),
    CALL(getresgid), CALL(getgroups), CALL(capget), CALL(kill), CALL(tkill), CALL(tgkill),
    CALL(pidfd_open), CALL(pidfd_send_signal), CALL(sched_yield), CALL(sched_getaffinity),
    CALL(sched_setaffinity), CALL(sched_getparam), CALL(sched_setparam),
    CALL(sched_getscheduler), CALL(sched_setscheduler), CALL(sched_getattr),
    CALL(sched_get_priority_max), CALL(sched_get_priority_min), CALL(sched_rr_get_interval),
    CALL(getpriority), CALL(setpriority), CALL(getrlimit), CALL(setrlimit), CALL(getrusage),
    CALL(getcpu), CALL(times), CALL(uname), CALL(sysinfo), CALL(getrandom),
    /* signals and time */
    CALL(rt_sigaction), CALL(rt_sigprocmask), CALL(rt_sigreturn), CALL(rt_sigpending),
    CALL(rt_sigsuspend), CALL(rt_sigtimedwait), CALL(rt_sigqueueinfo),
    CALL(rt_tgsigqueueinfo), CALL(sigaltstack), CALL(signalfd), CALL(signalfd4),
    CALL(restart_syscall), CALL(pause), CALL(alarm), CALL(getitimer), CALL(setitimer),
    CALL(timer_create), CALL(timer_settime), CALL(timer_gettime), CALL(timer_getoverrun),
    CALL(timer_delete), CALL(timerfd_create), CALL(timerfd_settime), CALL(timerfd_gettime),
    CALL(nanosleep), CALL(clock_nanosleep), CALL(clock_gettime), CALL(clock_getres),
    CALL(gettimeofday), CALL(time),
    /* waiting, and talking inside the jail */
    CALL(poll), CALL(ppoll), CALL(select), CALL(pselect6), CALL(epoll_create),
    CALL(epoll_create1), CALL(epoll_ctl), CALL(epoll_wait), CALL(epoll_pwait),
    CALL(epoll_pwait2), CALL(eventfd), CALL(eventfd2), CALL(pipe), CALL(pipe2), CALL(bind),
    CALL(listen), CALL(accept), CALL(accept4), CALL(getsockname), CALL(getpeername),
    CALL(getsockopt), CALL(setsockopt), CALL(sendto), CALL(recvfrom), CALL(sendmsg),
    CALL(recvmsg), CALL(sendmmsg), CALL(recvmmsg), CALL(shutdown),
};
// clang-format on

/* Ways out, up or sideways.  A comment gives the threat where the name does not. */
// clang-format off
static const int REFUSED[] = {
    CALL(ptrace), CALL(process_vm_readv), CALL(process_vm_writev), CALL(process_madvise),
    CALL(kcmp), CALL(pidfd_getfd), /* other processes' memory and files */
    CALL(unshare), CALL(setns), CALL(mount), CALL(umount2), CALL(pivot_root), CALL(chroot),
    CALL(fsopen), CALL(fsconfig), CALL(fsmount), CALL(fspick), CALL(open_tree),
    CALL(move_mount), CALL(mount_setattr), /* another root */
    CALL(bpf), CALL(perf_event_open), CALL(userfaultfd), CALL(init_module),
    CALL(finit_module), CALL(delete_module), CALL(kexec_load), CALL(kexec_file_load),
    CALL(reboot), CALL(swapon), CALL(swapoff), CALL(acct), CALL(quotactl), CALL(syslog),
    CALL(iopl), CALL(ioperm), CALL(settimeofday), CALL(clock_settime), CALL(clock_adjtime),
    CALL(adjtimex), CALL(sethostname), CALL(setdomainname), CALL(vhangup),
    CALL(lookup_dcookie), CALL(add_key), CALL(request_key), CALL(keyctl),
    /* keyrings outlive the worker */
    CALL(name_to_handle_at), CALL(open_by_handle_at), /* a file by number, past the root */
    CALL(setuid), CALL(setgid), CALL(setreuid), CALL(setregid), CALL(setresuid),
    CALL(setresgid), CALL(setgroups), CALL(setfsuid), CALL(setfsgid), CALL(capset),
    CALL(personality), CALL(ioprio_set), CALL(move_pages), CALL(migrate_pages),
    CALL(fanotify_init), CALL(fanotify_mark), CALL(seccomp), CALL(modify_ldt),
};
// clang-format on

/* A call allowed when one argument has the right low 32 bits: the kernel looks at
 * no more of an int, so a comparison of all 64 could be led past (CVE-2019-7303). */
static const struct {
    int call;
    unsigned argument;
    uint32_t mask, value;
} ARGUMENTS[] = {
    {CALL(ioctl),      1, 0xFFFFFFFF, TCGETS             }, /* isatty; no TIOCSTI, no TIOCLINUX        */
    {CALL(ioctl),      1, 0xFFFFFFFF, TIOCGWINSZ         },
    {CALL(ioctl),      1, 0xFFFFFFFF, FIONREAD           },
    {CALL(ioctl),      1, 0xFFFFFFFF, FIONBIO            },
    {CALL(ioctl),      1, 0xFFFFFFFF, FIOCLEX            },
    {CALL(ioctl),      1, 0xFFFFFFFF, FIONCLEX           },
    {CALL(prctl),      0, 0xFFFFFFFF, PR_SET_NAME        },
    {CALL(prctl),      0, 0xFFFFFFFF, PR_GET_NAME        },
    {CALL(prctl),      0, 0xFFFFFFFF, PR_GET_DUMPABLE    },
    {CALL(prctl),      0, 0xFFFFFFFF, PR_SET_PDEATHSIG   },
    {CALL(prctl),      0, 0xFFFFFFFF, PR_CAPBSET_READ    },
    {CALL(prctl),      0, 0xFFFFFFFF, PR_GET_NO_NEW_PRIVS},
    {CALL(prctl),      0, 0xFFFFFFFF, 0x53564D41         }, /* PR_SET_VMA: names for malloc's areas    */
    {CALL(prlimit64),  0, 0xFFFFFFFF, 0                  }, /* its own limits, not the init's          */
    {CALL(socket),     0, 0xFFFFFFFF, AF_UNIX            }, /* no internet, netlink, packet, vsock     */
    {CALL(socketpair), 0, 0xFFFFFFFF, AF_UNIX            },
 /* No new namespace; clone3 hides its flags in memory and answers ENOSYS. */
    {CALL(clone),      0,
     CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER |
         CLONE_NEWPID | CLONE_NEWNET,
     0                                                   },
};

/* Refusals with a better word than ENOSYS, bit by bit: each row holds where the value
 * differs from the allowed one in that bit.  (libseccomp has no "otherwise".) */
static const struct {
    int call;
    uint32_t mask, value;
    int failure;
} DIFFERENT[] = {
    {CALL(socket), 1 << 0,          0,               EAFNOSUPPORT}, /* AF_UNIX is 1 */
    {CALL(socket), 1 << 1,          1 << 1,          EAFNOSUPPORT},
    {CALL(socket), 1 << 2,          1 << 2,          EAFNOSUPPORT},
    {CALL(socket), 1 << 3,          1 << 3,          EAFNOSUPPORT},
    {CALL(socket), 1 << 4,          1 << 4,          EAFNOSUPPORT},
    {CALL(socket), 1 << 5,          1 << 5,          EAFNOSUPPORT},
    {CALL(clone),  CLONE_NEWNS,     CLONE_NEWNS,     EPERM       },
    {CALL(clone),  CLONE_NEWCGROUP, CLONE_NEWCGROUP, EPERM       },
    {CALL(clone),  CLONE_NEWUTS,    CLONE_NEWUTS,    EPERM       },
    {CALL(clone),  CLONE_NEWIPC,    CLONE_NEWIPC,    EPERM       },
    {CALL(clone),  CLONE_NEWUSER,   CLONE_NEWUSER,   EPERM       },
    {CALL(clone),  CLONE_NEWPID,    CLONE_NEWPID,    EPERM       },
    {CALL(clone),  CLONE_NEWNET,    CLONE_NEWNET,    EPERM       },
};

/* Without namespaces: other processes of the same user are within reach of these.
 * Landlock stops signals from ABI 6 on; before, nobody inside may send any. */
static const int OF_OTHERS[] = {
    CALL(setpriority),
    CALL(sched_setaffinity),
    CALL(sched_setparam),
    CALL(sched_setscheduler),
};
static const int SIGNALS[] = {
    CALL(kill),
    CALL(tkill),
    CALL(tgkill),
    CALL(pidfd_send_signal),
    CALL(rt_sigqueueinfo),
    CALL(rt_tgsigqueueinfo),
};

static bool is_in(int call, const int *set, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (set[i] == call) return true;
    }
    return false;
}

static bool is_allowed(const struct jail_plan *plan, int call)
{
    if (plan->level != SANDBOX_SECCOMP) return true;
    if (is_in(call, OF_OTHERS, COUNT(OF_OTHERS))) return false;
    return plan->landlock_abi >= 6 || !is_in(call, SIGNALS, COUNT(SIGNALS));
}

static int add_rules(scmp_filter_ctx ctx, const struct jail_plan *plan)
{
    int r = 0;
    for (size_t i = 0; i < COUNT(ALLOWED) && !r; i++) {
        const bool is_open = is_allowed(plan, ALLOWED[i]);
        r = seccomp_rule_add(ctx, is_open ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EPERM), ALLOWED[i],
                             0);
    }
    for (size_t i = 0; i < COUNT(REFUSED) && !r; i++) {
        r = seccomp_rule_add(ctx, SCMP_ACT_ERRNO(EPERM), REFUSED[i], 0);
    }
    for (size_t i = 0; i < COUNT(ARGUMENTS) && !r; i++) {
        const struct scmp_arg_cmp cmp = SCMP_CMP64(ARGUMENTS[i].argument, SCMP_CMP_MASKED_EQ,
                                                   ARGUMENTS[i].mask, ARGUMENTS[i].value);
        r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, ARGUMENTS[i].call, 1, &cmp);
    }
    for (size_t i = 0; i < COUNT(DIFFERENT) && !r; i++) {
        const struct scmp_arg_cmp cmp =
            SCMP_CMP64(0, SCMP_CMP_MASKED_EQ, DIFFERENT[i].mask, DIFFERENT[i].value);
        r = seccomp_rule_add_array(ctx, SCMP_ACT_ERRNO((uint32_t)DIFFERENT[i].failure),
                                   DIFFERENT[i].call, 1, &cmp);
    }
    /* A pathname socket of the host can be reached where the host's files can. */
    if (!r) {
        const bool is_rooted = plan->level != SANDBOX_SECCOMP;
        const uint32_t action = is_rooted ? SCMP_ACT_ALLOW : SCMP_ACT_ERRNO(EACCES);
        r = seccomp_rule_add(ctx, action, CALL(connect), 0);
    }
    return r;
}

/* The library writes the compiled filter to a descriptor only. */
static int take_filter(scmp_filter_ctx ctx, struct jail_plan *plan)
{
    const int fd = memfd_create("filter", MFD_CLOEXEC);
    if (fd < 0) return -errno;
    int r = seccomp_export_bpf(ctx, fd);
    if (!r) {
        const ssize_t n = pread(fd, plan->filter, sizeof plan->filter, 0);
        if (n <= 0 || (size_t)n == sizeof plan->filter) r = -E2BIG;
        plan->n_filter = (int)((size_t)QA_MAX(n, 0) / sizeof plan->filter[0]);
    }
    close(fd);
    return r;
}

enum status seccomp_compile(struct jail_plan *plan, struct err *e)
{
    scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_ERRNO(ENOSYS));
    if (!ctx) return err_set(e, QA_E_SANDBOX, "cannot make a system-call filter");
    int r = seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    /* A tree instead of a chain: about eight comparisons a call instead of hundreds. */
    if (!r) r = seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    if (!r) r = add_rules(ctx, plan);
    if (!r) r = take_filter(ctx, plan);
    seccomp_release(ctx);
    if (r) return err_errno(e, QA_E_SANDBOX, -r, "cannot compile the system-call filter");
    return QA_OK;
}

int seccomp_apply(const struct jail_plan *plan)
{
    const struct sock_fprog program = {
        .len = (unsigned short)plan->n_filter,
        .filter = (struct sock_filter *)plan->filter, /* the kernel only reads it */
    };
    return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program, 0, 0) ? errno : 0;
}
