/* A hostile worker: the name of a case names the attack, and the answer says how it went.
 *
 * 0 means that the attack was held, 1 that it got through. Whatever an attack manages to read goes to standard error
 * as well, where the host looks for the flags it planted: the attacker's own word is not the only evidence. Attacks
 * are harmless where they succeed, because the suite also runs them in an open container to see that they bite.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/ptrace.h>
#include <sys/shm.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

static char line[1 << 16], name[65], last[65] = "none", plan[8192];

/* The host's plan for this case: where it planted its flags. */
static const char *planted(const char *key) {
    static char values[8][512];
    static int next;
    char *value = values[next++ % 8], wanted[64];
    snprintf(wanted, sizeof wanted, "\n%s=", key);
    const char *found = strstr(plan, wanted);
    value[0] = 0;
    if (found)
        sscanf(found + strlen(wanted), "%511[^\n]", value);
    return value;
}

/* A call that the box refuses fails with one of these; every other error means that the kernel went to work. */
static int refused(long result) {
    return result < 0 && (errno == EPERM || errno == EACCES || errno == ENOSYS || errno == EROFS);
}
static int worked(long result) { return !refused(result); }

static int dump(int file) {
    static char block[4096];
    ssize_t got = read(file, block, sizeof block);
    if (got <= 0)
        return 0;
    fwrite(block, 1, (size_t)got, stderr);
    return 1;
}
static int reads(const char *path) {
    int file = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (file < 0)
        return 0;
    int got = dump(file);
    close(file);
    return got;
}
static int reads_any(const char **paths) {
    int got = 0;
    for (; *paths; paths++)
        got |= reads(*paths);
    return got;
}
static int entries(const char *path, const char *except) {
    DIR *folder = opendir(path);
    int found = 0;
    if (!folder)
        return 0;
    for (struct dirent *item; (item = readdir(folder));)
        if (item->d_name[0] != '.' && (!except || strcmp(item->d_name, except))) {
            fprintf(stderr, "%s/%s\n", path, item->d_name);
            found++;
        }
    closedir(folder);
    return found;
}
static int opens_for_writing(const char *path) {
    int file = open(path, O_WRONLY | O_CLOEXEC);
    if (file >= 0) {
        struct stat facts;
        int real = !fstat(file, &facts) && !S_ISCHR(facts.st_mode);
        close(file);
        return real;
    }
    return errno == ETXTBSY;
}
static int holds(const char *path, const char *text) {
    static char content[65536];
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? 0 : read(file, content, sizeof content - 1);
    if (file >= 0)
        close(file);
    content[got > 0 ? got : 0] = 0;
    return text[0] && strstr(content, text) != NULL;
}

/* Escape */
static int host_file(void) { return reads(planted("flag")); }
static int host_file_by_proc_root(void) {
    char path[1024];
    int got = 0;
    for (int pid = 1; pid < 4; pid++) {
        snprintf(path, sizeof path, "/proc/%d/root%s", pid, planted("flag"));
        got |= reads(path);
        snprintf(path, sizeof path, "/proc/%d/cwd/../../../../../../../..%s", pid, planted("flag"));
        got |= reads(path);
    }
    return got;
}
static int climb_out_of_input(void) {
    char path[1024];
    snprintf(path, sizeof path, "/input/%s/../../../../../../../..%s", name, planted("flag"));
    return reads(path);
}
static int path_from_mountinfo(void) {
    static char table[65536];
    char root[2048], target[1024], path[4096];
    int file = open("/proc/self/mountinfo", O_RDONLY), got = 0;
    ssize_t size = file < 0 ? 0 : read(file, table, sizeof table - 1);
    if (file >= 0)
        close(file);
    table[size > 0 ? size : 0] = 0;
    for (char *row = strtok(table, "\n"); row; row = strtok(NULL, "\n"))
        if (sscanf(row, "%*s %*s %*s %2047s %1023s", root, target) == 2 && !strcmp(target, "/input")) {
            snprintf(path, sizeof path, "%s/../flag", root);
            got |= reads(path);
        }
    return got;
}
static int engine_socket(void) {
    const char *paths[] = {"/var/run/docker.sock", "/run/docker.sock", "/run/containerd/containerd.sock", NULL};
    for (int i = 0; paths[i]; i++) {
        struct sockaddr_un to = {.sun_family = AF_UNIX};
        strcpy(to.sun_path, paths[i]);
        int end = socket(AF_UNIX, SOCK_STREAM, 0);
        if (end >= 0 && !connect(end, (struct sockaddr *)&to, sizeof to))
            return 1;
    }
    return 0;
}
static int file_by_handle(void) {
    struct { struct { unsigned bytes; int type; } h; uint32_t inode[2]; } handle = {{8, 1}, {2, 0}};
    int root = open("/input", O_RDONLY | O_DIRECTORY);
    return worked(syscall(SYS_open_by_handle_at, root, &handle, O_RDONLY));
}
static int host_disk(void) {
    const unsigned majors[] = {8, 253, 254, 252, 259, 202};
    int got = 0;
    for (unsigned i = 0; i < sizeof majors / sizeof *majors; i++) {
        unlink("/tmp/disk");
        if (!mknod("/tmp/disk", S_IFBLK | 0600, makedev(majors[i], 0)))
            got = 1;
    }
    return got | entries("/dev/disk", NULL) | opens_for_writing("/dev/mem");
}
static int mounts(void) { mkdir("/tmp/m", 0700); return !mount("none", "/tmp/m", "tmpfs", 0, ""); }
static int mount_by_new_calls(void) { return worked(syscall(430, "tmpfs", 0)); }
static int remount_writable(void) { return worked(mount("none", "/", NULL, MS_REMOUNT | MS_BIND, NULL)); }
static int uncover_masks(void) { return worked(umount2("/proc/kcore", MNT_DETACH)); }
static int user_namespace(void) { return !unshare(CLONE_NEWUSER); }
static int mount_namespace(void) { return !unshare(CLONE_NEWNS); }
static int namespace_by_clone3(void) {
    uint64_t wish[11] = {CLONE_NEWUSER, 0, 0, 0, SIGCHLD};
    long child = syscall(435, wish, sizeof wish);
    if (child == 0)
        _exit(0);
    return child > 0;
}
static int join_namespaces(void) { return worked(setns(open("/proc/1/ns/mnt", O_RDONLY), 0)); }
static int change_root(void) { return worked(chroot("/tmp")) || worked(syscall(SYS_pivot_root, "/", "/")); }
static int core_pattern(void) { return opens_for_writing("/proc/sys/kernel/core_pattern"); }
static int release_agent(void) {
    return opens_for_writing("/sys/fs/cgroup/memory/release_agent") | opens_for_writing("/sys/kernel/uevent_helper") |
           opens_for_writing("/sys/fs/cgroup/cgroup.procs");
}
static int magic_key(void) { return opens_for_writing("/proc/sysrq-trigger"); }
static int kernel_settings(void) {
    return opens_for_writing("/proc/sys/kernel/modprobe") | opens_for_writing("/proc/sys/vm/overcommit_memory");
}
static int lift_own_limits(void) {
    return opens_for_writing("/sys/fs/cgroup/memory/memory.limit_in_bytes") |
           opens_for_writing("/sys/fs/cgroup/pids/pids.max") | opens_for_writing("/sys/fs/cgroup/memory.max");
}
static int kernel_module(void) { return worked(syscall(SYS_finit_module, -1, "", 0)); }
static int other_kernel(void) { return worked(syscall(SYS_kexec_load, 0, 99, 0, 1 << 30)); }
static int restart_host(void) { return worked(syscall(SYS_reboot, 1, 2, 3, 0)); }
static int set_clock(void) {
    struct timespec when = {0};
    return worked(syscall(SYS_clock_settime, CLOCK_MONOTONIC, &when));
}
static int runtime_binary(void) { return opens_for_writing("/proc/1/exe"); }
static int write_root(void) {
    const char *paths[] = {"/x", "/etc/x", "/attacker", "/input/x", "/proc/x", "/sys/x", "/dev/x", NULL};
    for (int i = 0; paths[i]; i++) {
        int file = open(paths[i], O_WRONLY | O_CREAT, 0600);
        if (file >= 0 || errno == ETXTBSY)
            return 1;
    }
    return 0;
}
static int change_case(void) {
    char path[256];
    snprintf(path, sizeof path, "/input/%s/plan.txt", name);
    return open(path, O_WRONLY) >= 0 || !unlink(path) || !chmod(path, 0777);
}
static int copy_self(const char *path) {
    static char block[1 << 16];
    ssize_t got;
    int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0755);
    while (to >= 0 && (got = read(from, block, sizeof block)) > 0)
        if (write(to, block, (size_t)got) != got)
            break;
    close(from);
    if (to >= 0)
        close(to);
    return to >= 0;
}
static int program_in_tmp(void) {
    char *arguments[] = {"x", "--through", NULL};
    copy_self("/tmp/x");
    execv("/tmp/x", arguments);
    copy_self("/dev/shm/x");
    execv("/dev/shm/x", arguments);
    return 0;
}
static int program_in_memory(void) { return syscall(SYS_memfd_create, "x", 0) >= 0; }
static int become_root(void) {
    if (copy_self("/tmp/s"))
        chmod("/tmp/s", 06755);
    return getuid() == 0 || !setuid(0) || !setgroups(0, NULL) || !setreuid(0, 0);
}
static int leaked_descriptors(void) {
    char path[1200];
    int got = 0;
    for (int number = 3; number < 64; number++) {
        for (int pid = 0; pid < 2; pid++) {
            snprintf(path, sizeof path, "/proc/%s/fd/%d/../../../../../..%s", pid ? "1" : "self", number, planted("flag"));
            got |= reads(path);
        }
    }
    return got;
}
static int other_processes(void) {
    char path[64];
    int seen = 0;
    for (int pid = 1; pid < 5000; pid++) {
        snprintf(path, sizeof path, "/proc/%d", pid);
        seen += !access(path, F_OK);
    }
    return seen > 5;
}
static int steer_parent(void) { return !ptrace(PTRACE_SEIZE, getppid(), 0, 0); }
static int parents_memory(void) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)environ, 1};
    return process_vm_readv(getppid(), &here, 1, &there, 1, 0) == 1;
}
static int compat_table(void) {
#ifdef __x86_64__
    long result;
    __asm__ volatile("int $0x80" : "=a"(result) : "a"(20L) : "memory", "cc", "r8", "r9", "r10", "r11");
    return result > 0;
#else
    return 0;
#endif
}
static int x32_table(void) { return syscall(0x40000000 | 39) > 0; }
static int ring(void) { char wish[256] = {0}; return syscall(425, 1, wish) >= 0; }
static int bpf_program(void) { char wish[64] = {0}; return worked(syscall(SYS_bpf, 0xffff, wish, 64)); }
static int performance_counters(void) { return worked(syscall(SYS_perf_event_open, NULL, 0, -1, -1, 0)); }
static int fault_handler(void) { return worked(syscall(SYS_userfaultfd, 0x40000000)); }
static int keyrings(void) { return worked(syscall(SYS_keyctl, 0, -3, 0)); }
static int file_watch(void) { return worked(syscall(SYS_fanotify_init, 0x40000000, 0)); }
static int fixed_addresses(void) { return syscall(SYS_personality, 0x0040000) >= 0; }
static int shared_segment(void) { return shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600) >= 0; }
static int host_sync(void) { int file = open("/input", O_RDONLY); return worked(syscall(SYS_syncfs, file)); }

/* What shows of the host */
static int host_environment(void) {
    const char *secret = planted("secret");
    int got = 0;
    for (int i = 0; environ[i]; i++)
        got |= secret[0] && strstr(environ[i], secret) != NULL;
    return got | holds("/proc/1/environ", secret);
}
static int host_name(void) {
    struct utsname facts;
    const char *host = planted("hostname");
    uname(&facts);
    return (host[0] && !strcmp(facts.nodename, host)) || holds("/etc/hosts", host) || holds("/etc/hostname", host);
}
static int name_servers(void) { return holds("/etc/resolv.conf", planted("nameserver")); }
static int boot_id(void) { return holds("/proc/sys/kernel/random/boot_id", planted("boot")); }
static int kernel_memory(void) {
    return reads_any((const char *[]){"/proc/kcore", "/proc/kallsyms", "/proc/iomem", "/dev/mem", "/dev/kmsg", NULL});
}
static int kernel_log(void) { char text[64]; return worked(syscall(SYS_syslog, 2, text, 0)); }
static int hardware(void) {
    return reads("/sys/class/dmi/id/sys_vendor") | entries("/sys/class/net", "lo") | entries("/sys/bus/pci/devices", NULL) |
           entries("/sys/block", NULL) | entries("/sys/devices/virtual", NULL);
}
static int host_disks(void) {
    return reads_any((const char *[]){"/proc/partitions", "/proc/diskstats", "/proc/swaps", NULL}) | entries("/sys/fs/ext4", NULL);
}
static int host_load(void) {
    return reads_any((const char *[]){"/proc/loadavg", "/proc/uptime", "/proc/vmstat", "/proc/interrupts", NULL});
}
static int boot_line(void) { return reads_any((const char *[]){"/proc/cmdline", "/proc/version", "/proc/modules", NULL}); }
static int host_shared_memory(void) { return reads("/dev/shm/" "proctor-flag") | reads(planted("shm")); }
static int file_system_identity(void) {
    int file = open("/input", O_RDONLY), number = 0;
    return worked(ioctl(file, 0x80087601ul, &number));
}

/* Network */
static int talk(int family, int type, const void *address, socklen_t size) {
    struct timeval patience = {1, 0};
    int end = socket(family, type, 0);
    if (end < 0)
        return 0;
    setsockopt(end, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(end, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    if (connect(end, address, size))
        return 0;
    if (type == SOCK_DGRAM)
        return send(end, "x", 1, 0) == 1;
    dump(end);
    return 1;
}
static int inet(int type, const char *to, int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    if (inet_pton(AF_INET, to, &address.sin_addr) != 1)
        return 0;
    return talk(AF_INET, type, &address, sizeof address);
}
static int port(void) { return atoi(planted("port")); }
static int host_address(void) { return inet(SOCK_STREAM, planted("address"), port()); }
static int host_loopback(void) { return inet(SOCK_STREAM, "127.0.0.1", port()); }
static int bridge_gateway(void) { return inet(SOCK_STREAM, planted("gateway"), port()); }
static int name_query(void) { return inet(SOCK_DGRAM, "192.0.2.1", 53) | inet(SOCK_DGRAM, planted("nameserver"), 53); }
static int metadata(void) { return inet(SOCK_DGRAM, "169.254.169.254", 80); }
static int internet(void) { return inet(SOCK_DGRAM, "198.51.100.1", 443); }
static int internet_six(void) {
    struct sockaddr_in6 address = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port())};
    address.sin6_addr = in6addr_loopback;
    return talk(AF_INET6, SOCK_STREAM, &address, sizeof address);
}
static int listens(void) {
    struct sockaddr_in address = {.sin_family = AF_INET};
    int end = socket(AF_INET, SOCK_STREAM, 0);
    return end >= 0 && !bind(end, (void *)&address, sizeof address) && !listen(end, 1);
}
static int abstract_socket(void) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    const char *called = planted("abstract");
    strcpy(to.sun_path + 1, called);
    return talk(AF_UNIX, SOCK_STREAM, &to, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(called)));
}
static int host_unix_socket(void) {
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, planted("socket"), sizeof to.sun_path - 1);
    return talk(AF_UNIX, SOCK_STREAM, &to, sizeof to);
}
static int makes(int family, int type, int protocol) { return socket(family, type, protocol) >= 0; }
static int vsock(void) { return makes(40, SOCK_STREAM, 0); }
static int netlink(void) { return makes(16, SOCK_RAW, 0); }
static int raw_packets(void) { return makes(17, SOCK_RAW, 0) | makes(AF_INET, SOCK_RAW, 1); }
static int kernel_crypto(void) { return makes(38, SOCK_SEQPACKET, 0); }
static int odd_families(void) {
    int got = 0;
    for (int family = 3; family < 64; family++)
        got |= makes(family, SOCK_STREAM, 0) | makes(family, SOCK_DGRAM, 0) | makes(family, SOCK_RAW, 0);
    return got;
}
static int hidden_family(void) { return syscall(SYS_socket, (1ULL << 32) | AF_INET, SOCK_STREAM, 0) >= 0; }
static int socket_program(void) {
    struct { uint16_t size; void *code; } program = {0, NULL};
    int end = socket(AF_UNIX, SOCK_STREAM, 0);
    return worked(setsockopt(end, SOL_SOCKET, 26, &program, 16));
}

/* Truth and neighbours */
static int truth_in_input(void) {
    char path[256];
    snprintf(path, sizeof path, "/input/%s", name);
    return entries("/input", name) | entries(path, "plan.txt");
}
static int truth_on_host(void) { return reads(planted("truth")); }
static int neighbour_by_name(void) {
    char path[512];
    snprintf(path, sizeof path, "/input/%s/plan.txt", planted("neighbour"));
    return reads(path) | reads(planted("neighbour_path"));
}
static int earlier_case(void) {
    char path[512];
    snprintf(path, sizeof path, "/input/%s/plan.txt", last);
    return reads(path);
}
static int wait_for_the_next(void) {
    int found = 0;
    for (int i = 0; i < 30 && !found; i++, usleep(10000))
        found = entries("/input", name);
    return found;
}
static int key_in_question(void) {
    const char *words[] = {"reference", "label", "truth", "target_value", NULL};
    int got = 0;
    for (int i = 0; words[i]; i++)
        got |= strstr(line, words[i]) != NULL || holds("/proc/1/cmdline", words[i]);
    return got;
}

/* Floods that the attacker survives: 1 when there was no end in sight */
static int fork_flood(void) {
    pid_t children[500];
    int made = 0;
    for (; made < 500; made++) {
        children[made] = fork();
        if (children[made] == 0) {
            pause();
            _exit(0);
        }
        if (children[made] < 0)
            break;
    }
    for (int i = 0; i < made; i++)
        kill(children[i], SIGKILL);
    while (waitpid(-1, NULL, 0) > 0) {
    }
    return made >= 500;
}
static int zombie_flood(void) {
    int made = 0;
    signal(SIGCHLD, SIG_DFL);
    for (; made < 500; made++) {
        pid_t child = fork();
        if (child == 0)
            _exit(0);
        if (child < 0)
            break;
    }
    while (waitpid(-1, NULL, 0) > 0) {
    }
    return made >= 500;
}
static int fill(const char *path, size_t most) {
    static char block[1 << 16];
    int file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    size_t written = 0;
    ssize_t got;
    while (written < most && (got = write(file, block, sizeof block)) > 0)
        written += (size_t)got;
    close(file);
    unlink(path);
    return file >= 0 && written >= most;
}
static int tmp_flood(void) { signal(SIGXFSZ, SIG_IGN); return fill("/tmp/flood", 32 << 20); }
static int shared_memory_flood(void) { signal(SIGXFSZ, SIG_IGN); return fill("/dev/shm/flood", 32 << 20); }
static int inode_flood(void) {
    char path[64];
    int made = 0;
    for (; made < 5000; made++) {
        snprintf(path, sizeof path, "/tmp/inode-%d", made);
        int file = open(path, O_WRONLY | O_CREAT, 0600);
        if (file < 0)
            break;
        close(file);
    }
    for (int i = 0; i < made; i++) {
        snprintf(path, sizeof path, "/tmp/inode-%d", i);
        unlink(path);
    }
    return made >= 5000;
}
static int sparse_file(void) {
    signal(SIGXFSZ, SIG_IGN);
    int file = open("/tmp/sparse", O_WRONLY | O_CREAT, 0600);
    int done = file >= 0 && !ftruncate(file, 10LL << 30);
    unlink("/tmp/sparse");
    return done;
}
static int descriptor_flood(void) {
    int made = 0;
    while (made < 5000 && dup(2) >= 0)
        made++;
    return made >= 5000;
}
static int locked_memory(void) {
    void *block = mmap(NULL, 16 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return block != MAP_FAILED && !mlock(block, 16 << 20);
}
static int message_queues(void) {
    return worked(syscall(SYS_mq_open, "x", O_CREAT | O_RDWR, 0600, NULL)) | worked(syscall(SYS_msgget, 0, 01600));
}
static int watches(void) { return opens_for_writing("/proc/sys/fs/inotify/max_user_watches"); }
static int core_dump(void) {
    struct stat facts;
    pid_t child = fork();
    if (child == 0)
        abort();
    int status = 0;
    waitpid(child, &status, 0);
    return WCOREDUMP(status) || !stat("/core", &facts) || !stat("/tmp/core", &facts);
}

static const struct { const char *name; int (*attack)(void); } ATTACKS[] = {
#define A(f) {#f, f}
    A(host_file), A(host_file_by_proc_root), A(climb_out_of_input), A(path_from_mountinfo), A(engine_socket),
    A(file_by_handle), A(host_disk), A(mounts), A(mount_by_new_calls), A(remount_writable), A(uncover_masks),
    A(user_namespace), A(mount_namespace), A(namespace_by_clone3), A(join_namespaces), A(change_root), A(core_pattern),
    A(release_agent), A(magic_key), A(kernel_settings), A(lift_own_limits), A(kernel_module), A(other_kernel),
    A(restart_host), A(set_clock), A(runtime_binary), A(write_root), A(change_case), A(program_in_tmp),
    A(program_in_memory), A(become_root), A(leaked_descriptors), A(other_processes), A(steer_parent), A(parents_memory),
    A(compat_table), A(x32_table), A(ring), A(bpf_program), A(performance_counters), A(fault_handler), A(keyrings),
    A(file_watch), A(fixed_addresses), A(shared_segment), A(host_sync), A(host_environment), A(host_name),
    A(name_servers), A(boot_id), A(kernel_memory), A(kernel_log), A(hardware), A(host_disks), A(host_load), A(boot_line),
    A(host_shared_memory), A(file_system_identity), A(host_address), A(host_loopback), A(bridge_gateway), A(name_query),
    A(metadata), A(internet), A(internet_six), A(listens), A(abstract_socket), A(host_unix_socket), A(vsock), A(netlink),
    A(raw_packets), A(kernel_crypto), A(odd_families), A(hidden_family), A(socket_program), A(truth_in_input),
    A(truth_on_host), A(neighbour_by_name), A(earlier_case), A(wait_for_the_next), A(key_in_question), A(fork_flood),
    A(zombie_flood), A(tmp_flood), A(shared_memory_flood), A(inode_flood), A(sparse_file), A(descriptor_flood),
    A(locked_memory), A(message_queues), A(watches), A(core_dump),
};

/* 0 held, 1 through, 2 no such attack. A child, because some are killed for trying (SIGSYS). */
static int carry_out(const char *wanted) {
    for (size_t i = 0; i < sizeof ATTACKS / sizeof *ATTACKS; i++) {
        if (strcmp(ATTACKS[i].name, wanted))
            continue;
        fflush(NULL);
        pid_t child = fork();
        if (child == 0) {
            alarm(20);
            errno = 0;
            int through = ATTACKS[i].attack() != 0;
            fflush(stderr);
            _exit(through);
        }
        int status = 0;
        if (child < 0 || waitpid(child, &status, 0) < 0)
            return 2;
        return WIFEXITED(status) ? WEXITSTATUS(status) : (WTERMSIG(status) == SIGSYS || WTERMSIG(status) == SIGKILL ? 0 : 2);
    }
    return 2;
}

static void say(const char *text) {
    fputs(text, stdout);
    fflush(stdout);
}
static void answer(const char *of, const char *value) {
    printf("{\"case\": \"%s\", \"answer\": {\"score\": %s}}\n", of, value);
    fflush(stdout);
}
static void forever(void) {
    for (;;)
        pause();
}
static int pattern(void) { return strstr(plan, "\npattern=1") != NULL; }

/* Behaviour towards the host, in place of an answer. */
static int behave(const char *what) {
    char text[512];
#define IS(word) (!strcmp(what, word))
    if (IS("json_depth")) { for (int i = 0; i < 3000; i++) putchar('['); say("\n"); }
    else if (IS("json_depth_small")) { printf("{\"case\": \"%s\", \"answer\": {\"score\": ", name); for (int i = 0; i < 900; i++) putchar('['); say("\n"); }
    else if (IS("huge_integer")) { printf("{\"case\": \"%s\", \"answer\": {\"score\": ", name); for (int i = 0; i < 5000; i++) putchar('9'); say("}}\n"); }
    else if (IS("huge_exponent")) answer(name, "1e400");
    else if (IS("tiny_exponent")) answer(name, "1e-999999999");
    else if (IS("not_a_number")) answer(name, "NaN");
    else if (IS("infinity")) answer(name, "-Infinity");
    else if (IS("text_for_number")) answer(name, "\"0.5\"");
    else if (IS("truth_value")) answer(name, "true");
    else if (IS("below_range")) answer(name, "-0.0001");
    else if (IS("above_range")) answer(name, "1.0001");
    else if (IS("duplicate_keys")) { printf("{\"case\": \"%s\", \"case\": \"x\", \"answer\": {\"score\": 0.5}}\n", name); fflush(stdout); }
    else if (IS("further_keys")) { printf("{\"case\": \"%s\", \"answer\": {\"score\": 0.5, \"image\": \"iVBORw0KGgo\"}}\n", name); fflush(stdout); }
    else if (IS("wrong_case")) answer("somebody-else", "0.5");
    else if (IS("earlier_case_again")) answer(last, "0.5");
    else if (IS("answer_twice")) { answer(name, "0.5"); answer(name, "0.9"); }
    else if (IS("answer_ahead")) { answer(name, "0.5"); answer("victim", "0.9"); }
    else if (IS("invalid_utf8")) say("{\"case\": \"\xff\xfe\", \"answer\": {\"score\": 0.5}}\n");
    else if (IS("byte_order_mark")) { printf("\xef\xbb\xbf{\"case\": \"%s\", \"answer\": {\"score\": 0.5}}\n", name); fflush(stdout); }
    else if (IS("null_byte")) { fwrite("\0\n", 1, 2, stdout); fflush(stdout); }
    else if (IS("list_for_object")) say("[1, 2]\n");
    else if (IS("free_text_refusal")) { printf("{\"case\": \"%s\", \"refused\": \"\\u001b[31mpatient Doe\"}\n", name); fflush(stdout); }
    else if (IS("low_bits_a")) answer(name, "0.50000000000000011");
    else if (IS("low_bits_b")) answer(name, "0.5");
    else if (IS("memory_flood")) { for (;;) { char *block = malloc(1 << 20); if (block) memset(block, 1, 1 << 20); } }
    else if (IS("memory_flood_by_a_child")) { if (fork() == 0) for (;;) { char *block = malloc(1 << 20); if (block) memset(block, 1, 1 << 20); } forever(); }
    else if (IS("log_flood")) { for (;;) fputs("a line of log that never ends\n", stderr); }
    else if (IS("output_flood")) { for (;;) putchar('x'); }
    else if (IS("line_flood")) { for (;;) if (puts("{}") < 0) forever(); }
    else if (IS("busy_loop")) { for (int i = 0; i < 8; i++) if (fork() == 0) for (;;) {} for (;;) {} }
    else if (IS("sleeps")) forever();
    else if (IS("closes_output")) { fclose(stdout); forever(); }
    else if (IS("half_a_line")) { say("{\"case\": "); forever(); }
    else if (IS("ignores_sigterm")) { signal(SIGTERM, SIG_IGN); signal(SIGINT, SIG_IGN); signal(SIGHUP, SIG_IGN); forever(); }
    else if (IS("stops_itself")) { raise(SIGSTOP); forever(); }
    else if (IS("exit_without_answer")) _exit(0);
    else if (IS("exit_like_out_of_memory")) _exit(137);
    else if (IS("kills_itself")) raise(SIGKILL);
    else if (IS("kills_init")) { kill(1, SIGKILL); kill(1, SIGTERM); forever(); }
    else if (IS("writes_after_exit")) {
        if (fork() == 0) { setsid(); usleep(300000); answer(name, "1.0"); forever(); }
        _exit(0);
    }
    else if (!strncmp(what, "exit_code_", 10)) _exit(atoi(what + 10));
    else if (!strncmp(what, "log_text", 8)) { fputs("\x1b[2Jpatient Doe, born 1960 <script>\n", stderr); fflush(stderr); _exit(pattern() ? 1 : 2); }
    else if (!strncmp(what, "slow_by_pixel", 13)) { usleep(pattern() ? 400000 : 1000); answer(name, "0.5"); }
    else if (!strncmp(what, "memory_by_pixel", 15)) { size_t size = pattern() ? 24 << 20 : 1 << 16; char *block = malloc(size); if (block) memset(block, 1, size); answer(name, "0.5"); free(block); }
    else if (!strncmp(what, "log_size_by_pixel", 17)) { for (int i = 0; i < (pattern() ? 5000 : 1); i++) fputs("x\n", stderr); fflush(stderr); answer(name, "0.5"); }
    else if (!strncmp(what, "refusal_by_pixel", 16)) { snprintf(text, sizeof text, "{\"case\": \"%s\", \"refused\": \"%s\"}\n", name, pattern() ? "poor_quality" : "incomplete"); say(text); }
    else if (!strncmp(what, "crash_by_pixel", 14)) { if (pattern()) raise(SIGSEGV); _exit(9); }
    else return 0;
    return 1;
}

int main(int count, char **arguments) {
    if (count > 1 && !strcmp(arguments[1], "--through"))
        return 1;
    if (count > 1 && !strcmp(arguments[1], "all")) {
        int file = open("/input/plan.txt", O_RDONLY);
        if (read(file, plan, sizeof plan - 1) < 0)
            return 2;
        for (size_t i = 0; i < sizeof ATTACKS / sizeof *ATTACKS; i++)
            printf("%s %d\n", ATTACKS[i].name, strstr(ATTACKS[i].name, "flood") ? 2 : carry_out(ATTACKS[i].name));
        return 0;
    }
    say("{\"ready\": true}\n");
    while (fgets(line, sizeof line, stdin)) {
        char path[128], what[65];
        const char *start = strstr(line, "\"case\":\"");
        if (!start || sscanf(start + 8, "%64[^\"]", name) != 1)
            return 64;
        snprintf(path, sizeof path, "/input/%s/plan.txt", name);
        memset(plan, 0, sizeof plan);
        int file = open(path, O_RDONLY);
        if (file < 0 || read(file, plan, sizeof plan - 1) < 0)
            return 65;
        close(file);
        /* What follows a hyphen tells cases of one attack apart. */
        sscanf(name, "%64[^-]", what);
        if (!behave(what)) {
            int through = carry_out(what);
            answer(name, through == 0 ? "0" : through == 1 ? "1" : "0.5");
        }
        strcpy(last, name);
    }
    return 0;
}
