/*
 * Preloaded into a gateway by test/fault/faults.ts: a disk that fails and a clock that jumps on command.
 *
 * FAULTS       a file of 64-bit numbers, in the order of `struct control`: what is to happen, and what has.
 * FAULTS_DISK  a folder that holds the journal as a power cut would leave it: of each of its files only what an fsync
 *              brought to the disk. A failed fsync drops what was written, as Linux does: unless it is written again, a
 *              later fsync that succeeds leaves it out.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

struct control {
  /* How many fsyncs, writes, reads of the journal's files fail with EIO from now on; -1: all. */
  int64_t fail_syncs, fail_writes, fail_reads;
  /* Only those of this file: 0 any, 1 the database, 2 its log. */
  int64_t only;
  /* The process is killed in place of its nth fsync or write from now on; 0: it is not. */
  int64_t kill_at_sync, kill_at_write;
  /* Added to the clock of the day, not to the one that measures time. */
  int64_t clock_ms;
  int64_t failures, syncs, writes;
};

static struct control none;
static volatile struct control *control = &none;
static const char *disk;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static ssize_t (*real_pwrite)(int, const void *, size_t, off64_t);
static ssize_t (*real_pread)(int, void *, size_t, off64_t);
static int (*real_fsync)(int);
static int (*real_unlink)(const char *);
static int (*real_clock_gettime)(clockid_t, struct timespec *);

#define REAL(name, symbol) (*(void **)&real_##name = dlsym(RTLD_NEXT, symbol))

__attribute__((constructor)) static void start(void) {
  REAL(pwrite, "pwrite64");
  REAL(pread, "pread64");
  REAL(fsync, "fsync");
  REAL(unlink, "unlink");
  REAL(clock_gettime, "clock_gettime");
  disk = getenv("FAULTS_DISK");
  const char *path = getenv("FAULTS");
  int fd = path == NULL ? -1 : open(path, O_RDWR | O_CLOEXEC);
  if (fd < 0) return;
  void *mapped = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  close(fd);
  if (mapped != MAP_FAILED) control = mapped;
}

/* 1 the database, 2 its log, 3 its rollback journal, 0 anything else. */
static int kind_of(const char *path) {
  const char *name = strrchr(path, '/');
  if (name == NULL) return 0;
  if (strcmp(name, "/journal.db") == 0) return 1;
  if (strcmp(name, "/journal.db-wal") == 0) return 2;
  return strcmp(name, "/journal.db-journal") == 0 ? 3 : 0;
}

static int file_of(int fd, char *path) {
  char link[64];
  snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
  ssize_t length = readlink(link, path, PATH_MAX - 1);
  if (length < 0) return 0;
  path[length] = 0;
  return kind_of(path);
}

static int fails(volatile int64_t *left, int kind) {
  if (*left == 0 || (control->only != 0 && control->only != kind)) return 0;
  if (*left > 0) --*left;
  control->failures++;
  errno = EIO;
  return 1;
}

static void count_down(volatile int64_t *left) {
  if (*left > 0 && --*left == 0) kill(getpid(), SIGKILL);
}

/* What was written since the last fsync, by kind of file. */
static struct range {
  off64_t from, to;
} *dirty[4];
static size_t dirty_count[4], dirty_room[4];

static void remember(int kind, off64_t from, size_t length) {
  if (dirty_count[kind] == dirty_room[kind]) {
    dirty_room[kind] = dirty_room[kind] * 2 + 64;
    dirty[kind] = realloc(dirty[kind], dirty_room[kind] * sizeof(struct range));
  }
  dirty[kind][dirty_count[kind]++] = (struct range){from, from + (off64_t)length};
}

static int open_on_disk(const char *path, int flags) {
  char copy[PATH_MAX];
  snprintf(copy, sizeof copy, "%s%s", disk, strrchr(path, '/'));
  return open(copy, flags | O_CLOEXEC, 0600);
}

static void bring_to_disk(int fd, int kind, const char *path) {
  int copy = open_on_disk(path, O_RDWR | O_CREAT);
  struct stat stats;
  if (copy < 0 || fstat(fd, &stats) != 0) abort();
  for (size_t i = 0; i < dirty_count[kind]; i++) {
    char bytes[65536];
    for (off64_t at = dirty[kind][i].from; at < dirty[kind][i].to;) {
      size_t size = (size_t)(dirty[kind][i].to - at);
      ssize_t got = real_pread(fd, bytes, size < sizeof bytes ? size : sizeof bytes, at);
      if (got <= 0) break;
      if (real_pwrite(copy, bytes, (size_t)got, at) != got) abort();
      at += got;
    }
  }
  if (ftruncate(copy, stats.st_size) != 0) abort();
  close(copy);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t at) {
  char path[PATH_MAX];
  int kind = file_of(fd, path);
  if (kind == 0) return real_pwrite(fd, bytes, size, at);
  control->writes++;
  count_down(&control->kill_at_write);
  if (fails(&control->fail_writes, kind)) return -1;
  pthread_mutex_lock(&lock);
  ssize_t written = real_pwrite(fd, bytes, size, at);
  if (written > 0 && disk != NULL) remember(kind, at, (size_t)written);
  pthread_mutex_unlock(&lock);
  return written;
}

ssize_t pread64(int fd, void *bytes, size_t size, off64_t at) {
  char path[PATH_MAX];
  if (control->fail_reads != 0) {
    int kind = file_of(fd, path);
    if (kind != 0 && fails(&control->fail_reads, kind)) return -1;
  }
  return real_pread(fd, bytes, size, at);
}

int fsync(int fd) {
  char path[PATH_MAX];
  int kind = file_of(fd, path);
  if (kind == 0) return real_fsync(fd);
  control->syncs++;
  count_down(&control->kill_at_sync);
  pthread_mutex_lock(&lock);
  int failed = fails(&control->fail_syncs, kind);
  if (!failed && disk != NULL) bring_to_disk(fd, kind, path);
  dirty_count[kind] = 0;
  pthread_mutex_unlock(&lock);
  if (!failed) return real_fsync(fd);
  errno = EIO;
  return -1;
}

int fdatasync(int fd) { return fsync(fd); }
ssize_t pwrite(int fd, const void *bytes, size_t size, off_t at) { return pwrite64(fd, bytes, size, at); }
ssize_t pread(int fd, void *bytes, size_t size, off_t at) { return pread64(fd, bytes, size, at); }

int unlink(const char *path) {
  int kind = kind_of(path);
  if (kind != 0 && disk != NULL) {
    char copy[PATH_MAX];
    snprintf(copy, sizeof copy, "%s%s", disk, strrchr(path, '/'));
    pthread_mutex_lock(&lock);
    dirty_count[kind] = 0;
    real_unlink(copy);
    pthread_mutex_unlock(&lock);
  }
  return real_unlink(path);
}

int clock_gettime(clockid_t clock, struct timespec *time) {
  int result = real_clock_gettime(clock, time);
  if (result != 0 || (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE)) return result;
  int64_t ns = time->tv_nsec + (control->clock_ms % 1000) * 1000000;
  time->tv_sec += control->clock_ms / 1000 + (ns >= 1000000000 ? 1 : ns < 0 ? -1 : 0);
  time->tv_nsec = ns >= 1000000000 ? ns - 1000000000 : ns < 0 ? ns + 1000000000 : ns;
  return 0;
}

int gettimeofday(struct timeval *restrict time, void *restrict zone) {
  struct timespec now;
  (void)zone;
  clock_gettime(CLOCK_REALTIME, &now);
  time->tv_sec = now.tv_sec;
  time->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *result) {
  struct timespec now;
  clock_gettime(CLOCK_REALTIME, &now);
  if (result != NULL) *result = now.tv_sec;
  return now.tv_sec;
}
