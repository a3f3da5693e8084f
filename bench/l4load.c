/* Load for the L4 comparisons. Not a product: no error is retried, the first one is counted and the connection dropped.
 *   l4load serve PORT                      echo of 1 byte messages; a first byte 'S' means: send until closed; 'R': read until closed
 *   l4load throughput IP PORT STREAMS SECONDS      prints bytes received per second
 *   l4load roundtrip IP PORT SECONDS       1 byte each way on one connection; prints p50 and p99 in microseconds
 *   l4load connect IP PORT PARALLEL SECONDS        connect, 1 byte each way, close; prints connections per second and errors
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CHUNK = 262144 };

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec + t.tv_nsec / 1e9;
}

static struct sockaddr_in target;
static double deadline;

static int dial(void) {
  int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  struct timeval patience = {10, 0};
  setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
  if (connect(fd, (struct sockaddr *)&target, sizeof target) == 0) return fd;
  close(fd);
  return -1;
}

static void *answer(void *argument) {
  int fd = (int)(intptr_t)argument;
  char *buffer = malloc(CHUNK);
  ssize_t n = recv(fd, buffer, 1, 0);
  if (n == 1 && buffer[0] == 'S') {
    memset(buffer, 'x', CHUNK);
    while (send(fd, buffer, CHUNK, MSG_NOSIGNAL) > 0) {}
  } else if (n == 1 && buffer[0] == 'R') {
    while (recv(fd, buffer, CHUNK, 0) > 0) {}
  } else {
    while (n > 0 && send(fd, buffer, (size_t)n, MSG_NOSIGNAL) == n) n = recv(fd, buffer, CHUNK, 0);
  }
  free(buffer);
  close(fd);
  return NULL;
}

static int serve(int port) {
  int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
  struct sockaddr_in own = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = INADDR_ANY};
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(listener, (struct sockaddr *)&own, sizeof own) || listen(listener, 4096)) return perror("listen"), 1;
  pthread_attr_t small;
  pthread_attr_init(&small);
  pthread_attr_setstacksize(&small, 65536);
  pthread_attr_setdetachstate(&small, PTHREAD_CREATE_DETACHED);
  for (;;) {
    int fd = accept(listener, NULL, NULL);
    if (fd < 0) continue;
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    pthread_t thread;
    if (pthread_create(&thread, &small, answer, (void *)(intptr_t)fd)) close(fd);
  }
}

struct tally {
  uint64_t count, errors;
};

static void *receive(void *argument) {
  struct tally *tally = argument;
  char *buffer = malloc(CHUNK);
  int fd = dial();
  if (fd < 0 || send(fd, "S", 1, MSG_NOSIGNAL) != 1) tally->errors++;
  else
    while (now() < deadline) {
      ssize_t n = recv(fd, buffer, CHUNK, 0);
      if (n <= 0) {
        tally->errors++;
        break;
      }
      tally->count += (uint64_t)n;
    }
  close(fd);
  free(buffer);
  return NULL;
}

static void *reconnect(void *argument) {
  struct tally *tally = argument;
  char byte = 'p';
  while (now() < deadline) {
    int fd = dial();
    if (fd < 0 || send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) tally->errors++;
    else tally->count++;
    if (fd >= 0) close(fd);
  }
  return NULL;
}

static struct tally parallel(void *(*work)(void *), int threads) {
  pthread_t ids[256];
  struct tally tallies[256] = {0}, sum = {0};
  for (int i = 0; i < threads; i++) pthread_create(&ids[i], NULL, work, &tallies[i]);
  for (int i = 0; i < threads; i++) {
    pthread_join(ids[i], NULL);
    sum.count += tallies[i].count;
    sum.errors += tallies[i].errors;
  }
  return sum;
}

static int ascending(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static int roundtrip(void) {
  size_t n = 0, room = 4000000;
  double *samples = malloc(room * sizeof *samples);
  char byte = 'p';
  int fd = dial();
  if (fd < 0) return perror("connect"), 1;
  while (now() < deadline && n < room) {
    double start = now();
    if (send(fd, &byte, 1, MSG_NOSIGNAL) != 1 || recv(fd, &byte, 1, 0) != 1) return perror("roundtrip"), 1;
    samples[n++] = (now() - start) * 1e6;
  }
  qsort(samples, n, sizeof *samples, ascending);
  printf("{\"samples\":%zu,\"p50\":%.1f,\"p99\":%.1f}\n", n, samples[n / 2], samples[n * 99 / 100]);
  return 0;
}

int main(int argc, char **argv) {
  signal(SIGPIPE, SIG_IGN);
  if (argc == 3 && !strcmp(argv[1], "serve")) return serve(atoi(argv[2]));
  if (argc < 5) return fprintf(stderr, "usage: see the head of l4load.c\n"), 2;
  target.sin_family = AF_INET;
  target.sin_port = htons((uint16_t)atoi(argv[3]));
  if (inet_pton(AF_INET, argv[2], &target.sin_addr) != 1) return fprintf(stderr, "not an IPv4 address: %s\n", argv[2]), 2;
  int last = atoi(argv[argc - 1]), middle = argc > 5 ? atoi(argv[4]) : 1;
  double start = now();
  deadline = start + last;
  if (!strcmp(argv[1], "roundtrip")) return roundtrip();
  struct tally sum = parallel(!strcmp(argv[1], "connect") ? reconnect : receive, middle > 256 ? 256 : middle);
  double seconds = now() - start;
  printf("{\"perSecond\":%.1f,\"errors\":%llu,\"total\":%llu}\n", sum.count / seconds, (unsigned long long)sum.errors, (unsigned long long)sum.count);
  return 0;
}
