/* memif_bell.c: an empty read's end rings (memif_bell.h) */
#include "drivers/memif_bell.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define READS 64 /* whose results may wait to be taken */

bool memif_bell_open(struct memif_ringer *b)
{
    aio_context_t aio = 0;

    *b = (struct memif_ringer){.fd = memfd_create("codecast-memif-bell", MFD_CLOEXEC)};
    if (b->fd >= 0 && syscall(SYS_io_setup, READS, &aio) == 0)
        b->aio = aio;
    return b->aio != 0;
}

void memif_bell_close(struct memif_ringer *b)
{
    if (b->aio)
        syscall(SYS_io_destroy, b->aio);
    if (b->fd >= 0)
        close(b->fd);
    *b = (struct memif_ringer){.fd = -1};
}

static void take_results(const struct memif_ringer *b)
{
    struct io_event done[READS];
    struct timespec now = {0, 0};

    while (syscall(SYS_io_getevents, b->aio, 0L, (long)READS, done, &now) == READS)
        ;
}

/* Nobody wakes up for a counter that is full, but then it has been rung and not heard. */
static void write_to(int bell)
{
    struct pollfd p = {bell, POLLOUT, 0};
    const uint64_t one = 1;

    if (fcntl(bell, F_SETFL, O_NONBLOCK) < 0 || poll(&p, 1, 0) != 1 || write(bell, &one, sizeof(one)) < 0)
        return;
}

void memif_bell_ring(const struct memif_ringer *b, int bell)
{
    struct iocb read = {.aio_fildes = (uint32_t)b->fd, .aio_lio_opcode = IOCB_CMD_PREAD, .aio_flags = IOCB_FLAG_RESFD, .aio_resfd = (uint32_t)bell};
    struct iocb *reads[] = {&read};

    if (!b->aio) {
        write_to(bell);
        return;
    }
    if (syscall(SYS_io_submit, b->aio, 1L, reads) < 0 && errno == EAGAIN) { /* no room for its result */
        take_results(b);
        syscall(SYS_io_submit, b->aio, 1L, reads);
    }
}
