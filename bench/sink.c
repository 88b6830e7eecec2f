/*
 * The other end of the bench: a provider that accepts everything at once, so that what is measured is the sender.
 *
 *   sink [DELAY_MS]     answers every POST as Alibaba Cloud's SendSms does, and speaks SMTP with PIPELINING (RFC 2920);
 *                       each HTTP answer waits DELAY_MS. Prints "HTTP_PORT SMTP_PORT" and ends when its stdin closes.
 *   GET /count          what arrived so far, as JSON.
 *   GET /watched        [[number, seconds on the monotonic clock]] of every call to a number that begins with 188.
 *
 * One thread, epoll, loopback only. It looks for the ends of requests and mails and reads nothing else of them.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HTTP = 1, SMTP_COMMAND, SMTP_DATA };
enum { FIRST_BUFFER = 16384, BIGGEST_BUFFER = 64 << 20, EVENTS = 256, MOST_SOCKETS = 65536 };

typedef struct { char *at; size_t used, room; } Buffer;
typedef struct { int mode, writing; unsigned life; Buffer in, out; } Peer;
typedef struct { char number[16]; double at; } Watched;
typedef struct { double due; int socket; unsigned life; char text[256]; int length; } Late;

static Peer *peers[MOST_SOCKETS];
static int poller, http_listener, smtp_listener;
static double delay_s;
static unsigned long long calls, call_bytes, phones, mails, mail_bytes, numbers, lives;
static Watched *watched;
static size_t watched_used, watched_room;
static Late *late;
static size_t late_first, late_used, late_room;

static double now_s(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return (double)at.tv_sec + (double)at.tv_nsec / 1e9;
}

static void fail(const char *what) { perror(what); exit(1); }

static int grow(Buffer *buffer, size_t wanted) {
    if (wanted <= buffer->room) return 1;
    size_t room = buffer->room ? buffer->room : FIRST_BUFFER;
    while (room < wanted) room *= 2;
    if (room > BIGGEST_BUFFER) return 0;
    char *at = realloc(buffer->at, room);
    if (!at) return 0;
    buffer->at = at;
    buffer->room = room;
    return 1;
}

static void put(Buffer *buffer, const char *text, size_t length) {
    if (!grow(buffer, buffer->used + length)) exit(1);
    memcpy(buffer->at + buffer->used, text, length);
    buffer->used += length;
}

static void say(Peer *peer, const char *text) { put(&peer->out, text, strlen(text)); }

static void drop(Buffer *buffer, size_t length) {
    buffer->used -= length;
    memmove(buffer->at, buffer->at + length, buffer->used);
}

static void hang_up(int socket) {
    Peer *peer = peers[socket];
    free(peer->in.at);
    free(peer->out.at);
    free(peer);
    peers[socket] = NULL;
    close(socket);
}

/* Writes what is due; what the kernel does not take now waits for EPOLLOUT. Returns 0 where the peer is gone. */
static int flush(int socket) {
    Peer *peer = peers[socket];
    size_t done = 0;
    while (done < peer->out.used) {
        ssize_t sent = send(socket, peer->out.at + done, peer->out.used - done, MSG_NOSIGNAL);
        if (sent < 0 && errno == EINTR) continue;
        if (sent < 0 && errno == EAGAIN) break;
        if (sent <= 0) return 0;
        done += (size_t)sent;
    }
    if (done) drop(&peer->out, done);
    int writing = peer->out.used > 0;
    if (writing != peer->writing) {
        struct epoll_event event = {.events = EPOLLIN | (writing ? EPOLLOUT : 0), .data.fd = socket};
        epoll_ctl(poller, EPOLL_CTL_MOD, socket, &event);
        peer->writing = writing;
    }
    return 1;
}

static void answer(int socket, const char *body, double wait_s) {
    Late one = {.due = now_s() + wait_s, .socket = socket, .life = peers[socket]->life};
    one.length = snprintf(one.text, sizeof one.text,
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", strlen(body), body);
    if (wait_s <= 0) {
        put(&peers[socket]->out, one.text, (size_t)one.length);
        return;
    }
    if (late_used == late_room) { /* the wait is the same for all: a queue stays in order */
        memmove(late, late + late_first, (late_used - late_first) * sizeof *late);
        late_used -= late_first;
        late_first = 0;
        if (late_used * 2 >= late_room) {
            late_room = late_room ? late_room * 2 : 1024;
            late = realloc(late, late_room * sizeof *late);
            if (!late) exit(1);
        }
    }
    late[late_used++] = one;
}

/* How many numbers the query of a call names: the commas of PhoneNumbers, and one. */
static unsigned long long phones_of(const char *head, size_t length) {
    const char *line_end = memchr(head, '\r', length), *at = NULL;
    if (line_end) at = memmem(head, (size_t)(line_end - head), "PhoneNumbers=", 13);
    if (!at) return 0;
    unsigned long long count = 1;
    for (at += 13; at < line_end && *at != '&' && *at != ' '; at++) count += *at == '%' && !strncmp(at, "%2C", 3);
    return count;
}

/* Notes when a call to a watched number came in; the clock is that of Python's time.monotonic(). */
static void watch(const char *head, size_t length) {
    const char *line_end = memchr(head, '\r', length);
    const char *at = line_end ? memmem(head, (size_t)(line_end - head), "PhoneNumbers=188", 16) : NULL;
    if (!at) return;
    if (watched_used == watched_room) {
        watched_room = watched_room ? watched_room * 2 : 1024;
        watched = realloc(watched, watched_room * sizeof *watched);
        if (!watched) exit(1);
    }
    Watched *one = &watched[watched_used++];
    one->at = now_s();
    size_t used = strspn(at + 13, "0123456789");
    snprintf(one->number, sizeof one->number, "%.*s", (int)used, at + 13);
}

static void tell_watched(int socket) {
    Buffer *out = &peers[socket]->out;
    char text[128];
    snprintf(text, sizeof text, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n"
             "Content-Length: %zu\r\n\r\n[", 2 + watched_used * 37 - (watched_used ? 1 : 0));
    put(out, text, strlen(text));
    for (size_t at = 0; at < watched_used; at++) {
        snprintf(text, sizeof text, "[\"%15s\",%16.6f]%s", watched[at].number, watched[at].at,
                 at + 1 < watched_used ? "," : "");
        put(out, text, strlen(text));
    }
    put(out, "]", 1);
}

static void answer_call(int socket, const char *head, size_t length) {
    char body[200];
    if (!strncmp(head, "GET /count", 10)) {
        snprintf(body, sizeof body,
                 "{\"calls\":%llu,\"call_bytes\":%llu,\"phones\":%llu,\"mails\":%llu,\"mail_bytes\":%llu}",
                 calls, call_bytes, phones, mails, mail_bytes);
        answer(socket, body, 0);
        return;
    }
    if (!strncmp(head, "GET /watched", 12)) {
        tell_watched(socket);
        return;
    }
    watch(head, length);
    calls++;
    call_bytes += length;
    phones += phones_of(head, length);
    numbers++;
    snprintf(body, sizeof body, "{\"Code\":\"OK\",\"Message\":\"OK\",\"RequestId\":\"%016llX\",\"BizId\":\"%llu^0\"}",
             numbers, 900000000000000000ULL + numbers);
    answer(socket, body, delay_s);
}

static size_t body_length(const char *head, const char *end) {
    const char *line = head;
    while (line < end && (line = memmem(line, (size_t)(end - line), "\r\n", 2)) != NULL) {
        line += 2;
        if (!strncasecmp(line, "content-length:", 15)) return strtoul(line + 15, NULL, 10);
    }
    return 0;
}

static void read_http(int socket) {
    Buffer *in = &peers[socket]->in;
    size_t done = 0;
    while (done < in->used) {
        char *head = in->at + done, *end = memmem(head, in->used - done, "\r\n\r\n", 4);
        if (!end) break;
        size_t whole = (size_t)(end - head) + 4 + body_length(head, end);
        if (done + whole > in->used) break;
        answer_call(socket, head, whole);
        done += whole;
    }
    if (done) drop(in, done);
}

static int is(const char *line, const char *verb) { return !strncasecmp(line, verb, strlen(verb)); }

static void obey(Peer *peer, const char *line) {
    if (is(line, "EHLO")) say(peer, "250-sink\r\n250-PIPELINING\r\n250-8BITMIME\r\n250 SIZE 50000000\r\n");
    else if (is(line, "HELO")) say(peer, "250 sink\r\n");
    else if (is(line, "QUIT")) say(peer, "221 2.0.0 Bye\r\n");
    else if (is(line, "DATA")) {
        say(peer, "354 Go on\r\n");
        peer->mode = SMTP_DATA;
    } else if (is(line, "MAIL") || is(line, "RCPT") || is(line, "RSET") || is(line, "NOOP")) say(peer, "250 2.0.0 Ok\r\n");
    else say(peer, "500 5.5.1 Unknown command\r\n");
}

static void read_smtp(Peer *peer) {
    Buffer *in = &peer->in;
    size_t done = 0;
    while (done < in->used) {
        int in_mail = peer->mode == SMTP_DATA;
        const char *mark = in_mail ? "\r\n.\r\n" : "\r\n";
        char *start = in->at + done, *end = memmem(start, in->used - done, mark, strlen(mark));
        if (!end) break;
        if (in_mail) {
            char reply[64];
            mails++;
            mail_bytes += (unsigned long long)(end - start) + 2;
            snprintf(reply, sizeof reply, "250 2.0.0 Ok: queued as %llX\r\n", ++numbers);
            say(peer, reply);
            peer->mode = SMTP_COMMAND;
        } else obey(peer, start);
        done = (size_t)(end - in->at) + strlen(mark);
    }
    if (done) drop(in, done);
}

static void serve(int socket) {
    Peer *peer = peers[socket];
    for (;;) {
        if (!grow(&peer->in, peer->in.used + FIRST_BUFFER)) { hang_up(socket); return; }
        size_t room = peer->in.room - peer->in.used;
        ssize_t got = recv(socket, peer->in.at + peer->in.used, room, 0);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0 && errno == EAGAIN) break;
        if (got <= 0) { hang_up(socket); return; }
        peer->in.used += (size_t)got;
        if ((size_t)got < room) break;
    }
    if (peer->mode == HTTP) read_http(socket);
    else read_smtp(peer);
    if (!flush(socket)) hang_up(socket);
}

static void welcome(int listener) {
    for (;;) {
        int socket = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), yes = 1;
        if (socket < 0) return;
        if (socket >= MOST_SOCKETS) { close(socket); return; }
        setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        Peer *peer = peers[socket] = calloc(1, sizeof *peer);
        if (!peer) exit(1);
        peer->mode = listener == http_listener ? HTTP : SMTP_COMMAND;
        peer->life = (unsigned)++lives;
        struct epoll_event event = {.events = EPOLLIN, .data.fd = socket};
        epoll_ctl(poller, EPOLL_CTL_ADD, socket, &event);
        if (peer->mode != HTTP) {
            say(peer, "220 sink ESMTP\r\n");
            if (!flush(socket)) hang_up(socket);
        }
    }
}

static int listen_on_loopback(int *port) {
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof place;
    if (listener < 0 || bind(listener, (struct sockaddr *)&place, size) || listen(listener, 4096)) fail("listen");
    getsockname(listener, (struct sockaddr *)&place, &size);
    *port = ntohs(place.sin_port);
    struct epoll_event event = {.events = EPOLLIN, .data.fd = listener};
    epoll_ctl(poller, EPOLL_CTL_ADD, listener, &event);
    return listener;
}

static int answer_late(void) {
    double now = now_s();
    while (late_first < late_used && late[late_first].due <= now) {
        Late *one = &late[late_first++];
        Peer *peer = peers[one->socket];
        if (!peer || peer->life != one->life) continue;
        put(&peer->out, one->text, (size_t)one->length);
        if (!flush(one->socket)) hang_up(one->socket);
    }
    return late_first == late_used ? -1 : (int)((late[late_first].due - now) * 1000) + 1;
}

int main(int count, char **words) {
    int http_port, smtp_port;
    char ignored[64];
    delay_s = count > 1 ? atof(words[1]) / 1000 : 0;
    poller = epoll_create1(EPOLL_CLOEXEC);
    http_listener = listen_on_loopback(&http_port);
    smtp_listener = listen_on_loopback(&smtp_port);
    struct epoll_event parent = {.events = EPOLLIN, .data.fd = 0}, events[EVENTS];
    if (epoll_ctl(poller, EPOLL_CTL_ADD, 0, &parent)) fail("stdin");
    printf("%d %d\n", http_port, smtp_port);
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poller, events, EVENTS, answer_late());
        for (int at = 0; at < ready; at++) {
            int socket = events[at].data.fd;
            if (socket == 0) { if (read(0, ignored, sizeof ignored) <= 0) return 0; }
            else if (socket == http_listener || socket == smtp_listener) welcome(socket);
            else if (!peers[socket]) continue;
            else if ((events[at].events & EPOLLOUT) && !flush(socket)) hang_up(socket);
            else if (events[at].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) serve(socket);
        }
    }
}
