/* The floor: a byte relay on epoll that parses nothing, one upstream connection per client.
 *
 * What it costs, the kernel's recv and send cost on this machine; no gateway can cost less.
 * usage: floor PORT UPSTREAM_PORT
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MAX_FD = 65536, EVENTS = 256, BUFFER = 1 << 17, PATIENCE_MS = 1000 };

static int peer[MAX_FD]; /* 0: no such connection */
static char buffer[BUFFER];

static struct sockaddr_in loopback(const char *port) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(atoi(port))};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  return address;
}

static void watch(int epoll, int fd) {
  int one = 1;
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK);
  struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
  epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void take_clients(int epoll, int listener, const struct sockaddr_in *upstream) {
  int client;
  while ((client = accept(listener, NULL, NULL)) >= 0) {
    int other = socket(AF_INET, SOCK_STREAM, 0);
    if (client >= MAX_FD || other < 0 || other >= MAX_FD ||
        connect(other, (const struct sockaddr *)upstream, sizeof *upstream)) {
      close(client);
      if (other >= 0) close(other);
      continue;
    }
    peer[client] = other;
    peer[other] = client;
    watch(epoll, client);
    watch(epoll, other);
  }
}

/* Whether all of it went out. */
static int send_all(int fd, ssize_t length) {
  for (ssize_t sent = 0; sent < length;) {
    ssize_t now = send(fd, buffer + sent, length - sent, MSG_NOSIGNAL);
    if (now >= 0) {
      sent += now;
    } else if (errno != EAGAIN) {
      return 0;
    } else {
      struct pollfd room = {.fd = fd, .events = POLLOUT};
      if (poll(&room, 1, PATIENCE_MS) <= 0) return 0;
    }
  }
  return 1;
}

static void relay(int fd) {
  int other = peer[fd];
  if (!other) return;
  ssize_t length = recv(fd, buffer, sizeof buffer, 0);
  if (length < 0 && errno == EAGAIN) return;
  if (length > 0 && send_all(other, length)) return;
  peer[fd] = peer[other] = 0;
  close(fd);
  close(other);
}

int main(int count, char **words) {
  if (count != 3) return fprintf(stderr, "usage: floor PORT UPSTREAM_PORT\n"), 2;
  struct sockaddr_in here = loopback(words[1]), upstream = loopback(words[2]);
  int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&here, sizeof here) || listen(listener, 1024))
    return perror("floor"), 1;
  int epoll = epoll_create1(0);
  watch(epoll, listener);
  struct epoll_event events[EVENTS];
  for (;;) {
    int ready = epoll_wait(epoll, events, EVENTS, -1);
    for (int i = 0; i < ready; i++) {
      if (events[i].data.fd == listener)
        take_clients(epoll, listener, &upstream);
      else
        relay(events[i].data.fd);
    }
  }
}
