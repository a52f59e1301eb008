/* A vendor that misbehaves on request: the beginning of a case's name, or the first argument, says how.
 *
 * Without either it answers every case with 0.5, as a minimal worker in C would.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

static char line[1 << 20];
static char name[128];
static char last[128] = "none";

static void say(const char *text) {
    fputs(text, stdout);
    fflush(stdout);
}

static void answer(const char *of, const char *value) {
    printf("{\"case\": \"%s\", \"answer\": {\"score\": %s}}\n", of, value);
    fflush(stdout);
}

static int is(const char *what) { return !strncmp(name, what, strlen(what)); }

static void forever(void) {
    for (;;)
        pause();
}

static void eat_memory(void) {
    for (;;) {
        char *block = malloc(1 << 20);
        if (block)
            memset(block, 1, 1 << 20);
    }
}

static void flood(FILE *stream, const char *text) {
    for (;;)
        if (fputs(text, stream) < 0)
            forever();
}

/* The first byte of the first file, as a score: shows that the container can read what it is given. */
static void answer_first_byte(void) {
    char path[512], value[32];
    snprintf(path, sizeof path, "/input/%s/000001.dcm", name);
    FILE *file = fopen(path, "rb");
    int byte = file ? fgetc(file) : 0;
    if (file)
        fclose(file);
    snprintf(value, sizeof value, "%.6f", byte / 255.0);
    answer(name, value);
}

/* How many entries /input has, in tenths: shows how many cases lie there. */
static void answer_neighbours(void) {
    DIR *folder = opendir("/input");
    int found = 0;
    char value[32];
    for (struct dirent *entry; folder && (entry = readdir(folder));)
        found += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    snprintf(value, sizeof value, "%.1f", found / 10.0);
    answer(name, value);
}

/* Whether anything of the input can be changed: 0 when not. */
static void answer_writable(void) {
    char path[512];
    snprintf(path, sizeof path, "/input/%s/000001.dcm", name);
    int open_input = open(path, O_WRONLY);
    int make_input = open("/input/note", O_WRONLY | O_CREAT, 0600);
    int make_root = open("/note", O_WRONLY | O_CREAT, 0600);
    answer(name, open_input < 0 && make_input < 0 && make_root < 0 ? "0" : "1");
}

/* What shows of a GPU, a twentieth for each power of two: a node, one that may be opened, the image's variables. */
static void answer_gpu(void) {
    char value[32];
    int file = open("/dev/nvidia0", O_RDWR);
    int node = !access("/dev/nvidia0", F_OK), allowed = file >= 0 || errno == ENXIO;
    int libraries = getenv("LD_LIBRARY_PATH") != NULL;
    int told = getenv("LD_PRELOAD") || getenv("NVIDIA_DISABLE_REQUIRE") || getenv("NVIDIA_IMEX_CHANNELS");
    if (file >= 0)
        close(file);
    snprintf(value, sizeof value, "%.2f", (node + 2 * (node && allowed) + 4 * libraries + 8 * told) / 20.0);
    answer(name, value);
}

/* Rights that a file of the image gives, in tenths: its special bits, and 8 more for capabilities. */
static void answer_rights(void) {
    struct stat facts = {0};
    char value[32], capability[64];
    int bits = stat("/rights", &facts) ? 1 : (facts.st_mode >> 9) & 7;
    int capable = getxattr("/rights", "security.capability", capability, sizeof capability) > 0;
    snprintf(value, sizeof value, "%.2f", (bits + 8 * capable) / 20.0);
    answer(name, value);
}

static void misbehave(void) {
    if (is("slow")) forever();
    else if (is("memory")) eat_memory();
    else if (is("childmemory")) {
        if (fork() == 0) eat_memory();
        forever();
    }
    else if (is("crash")) exit(7);
    else if (is("segfault")) raise(SIGSEGV);
    else if (is("killed")) kill(getpid(), SIGKILL);
    else if (is("silent")) exit(0);
    else if (is("halfhang")) { say("{\"case\": \""); forever(); }
    else if (is("half")) { say("{\"case\": \""); exit(0); }
    else if (is("garbage")) say("here is your answer: 0.7\n");
    else if (is("binary")) say("\xff\xfe\x01\n");
    else if (is("empty")) say("\n");
    else if (is("nan")) answer(name, "NaN");
    else if (is("infinite")) answer(name, "1e999");
    else if (is("long")) answer(name, "0.50000000000000000000000000000000000000000000000000000000000000000000001");
    else if (is("text")) answer(name, "\"0.5\"");
    else if (is("true")) answer(name, "true");
    else if (is("twokeys")) answer(name, "0.1, \"score\": 0.9");
    else if (is("more")) answer(name, "0.5, \"note\": 1");
    else if (is("deep")) { for (int i = 0; i < 20000; i++) fputs("[", stdout); say("\n"); }
    else if (is("range")) answer(name, "1.5");
    else if (is("refuses")) printf("{\"case\": \"%s\", \"refused\": \"poor_quality\"}\n", name);
    else if (is("excuse")) printf("{\"case\": \"%s\", \"refused\": \"PATIENT DOE\"}\n", name);
    else if (is("wrong")) answer("another", "0.5");
    else if (is("stale")) answer(last, "0.5");
    else if (is("twice")) { answer(name, "0.5"); answer(name, "0.6"); }
    else if (is("errors")) flood(stderr, "error error error error error error error error error error\n");
    else if (is("endless")) flood(stdout, "0123456789012345678901234567890123456789");
    else if (is("lines")) flood(stdout, "0123456789012345678901234567890123456789\n");
    else if (is("closes")) { close(0); close(1); close(2); forever(); }
    else if (is("first")) answer_first_byte();
    else if (is("neighbours")) answer_neighbours();
    else if (is("writes")) answer_writable();
    else if (is("gpu")) answer_gpu();
    else if (is("rights")) answer_rights();
    else answer(name, "0.5");
    fflush(stdout);
}

int main(int count, char **arguments) {
    const char *mode = count > 1 ? arguments[1] : "";
    if (!strcmp(mode, "never-ready")) forever();
    if (!strcmp(mode, "ends-at-once")) return 0;
    if (!strcmp(mode, "not-ready")) { say("hello\n"); forever(); }
    say("{\"ready\": true}\n");
    if (!strcmp(mode, "deaf")) forever();
    while (fgets(line, sizeof line, stdin)) {
        char *start = strstr(line, "\"case\":\"");
        if (!start || sscanf(start + 8, "%100[^\"]", name) != 1)
            return 2;
        if (!strcmp(mode, "always-crashes"))
            return 1;
        misbehave();
        strcpy(last, name);
    }
    if (!strcmp(mode, "stays"))
        forever();
    return 0;
}
