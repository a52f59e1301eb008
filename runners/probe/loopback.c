/* Asks a server on the loopback interface of its own network namespace, as told line by line.
 *
 * It shares the network namespace of a container that has no network, so that a container's server is reached
 * without giving it any. Input: METHOD PATH MILLISECONDS. Output: the HTTP status, or 0 when there was none in
 * time. Nothing else of the answer is passed on: whatever the server writes ends here.
 *
 * Build: gcc -static -O1 -o loopback loopback.c
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define PORT 4743

static long now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000 + at.tv_nsec / 1000000;
}

static int wait_for(int socket, short events, long deadline) {
    struct pollfd waiting = {.fd = socket, .events = events};
    long left = deadline - now();
    return left > 0 && poll(&waiting, 1, (int)left) == 1;
}

static int status_of(const char *method, const char *path, long deadline) {
    struct sockaddr_in server = {.sin_family = AF_INET, .sin_port = htons(PORT)};
    char request[512], answer[64];
    size_t size, sent = 0, got = 0;
    int status = 0, failed = 0;
    socklen_t length = sizeof failed;

    server.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int connection = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (connection < 0)
        return 0;
    if (connect(connection, (struct sockaddr *)&server, sizeof server) < 0) {
        if (errno != EINPROGRESS || !wait_for(connection, POLLOUT, deadline))
            goto end;
        if (getsockopt(connection, SOL_SOCKET, SO_ERROR, &failed, &length) < 0 || failed)
            goto end;
    }
    size = (size_t)snprintf(request, sizeof request,
                            "%s %s HTTP/1.1\r\nHost: 127.0.0.1:%d\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
                            method, path, PORT);
    while (sent < size) {
        if (!wait_for(connection, POLLOUT, deadline))
            goto end;
        ssize_t count = send(connection, request + sent, size - sent, MSG_NOSIGNAL);
        if (count < 0 && errno != EAGAIN)
            goto end;
        sent += count > 0 ? (size_t)count : 0;
    }
    /* "HTTP/1.1 201" is all that is read. */
    while (got < 12) {
        if (!wait_for(connection, POLLIN, deadline))
            goto end;
        ssize_t count = recv(connection, answer + got, sizeof answer - 1 - got, 0);
        if (count == 0 || (count < 0 && errno != EAGAIN))
            goto end;
        got += count > 0 ? (size_t)count : 0;
    }
    answer[got] = 0;
    if (strncmp(answer, "HTTP/1.", 7) || answer[8] != ' ')
        goto end;
    for (int at = 9; at < 12; at++) {
        if (answer[at] < '0' || answer[at] > '9') {
            status = 0;
            goto end;
        }
        status = status * 10 + answer[at] - '0';
    }
end:
    close(connection);
    return status;
}

int main(void) {
    char line[256], method[8], path[64];
    long milliseconds;
    signal(SIGPIPE, SIG_IGN);
    while (fgets(line, sizeof line, stdin)) {
        if (sscanf(line, "%7s %63s %ld", method, path, &milliseconds) != 3)
            return 2;
        printf("%d\n", status_of(method, path, now() + milliseconds));
        fflush(stdout);
    }
    return 0;
}
