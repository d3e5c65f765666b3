/* memif_shm.c: regions and rings made, checked, mapped (memif_shm.h) */
#include "drivers/memif_shm.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RING_ALIGN 4u

/* Prefaulted: memory that is not to be had is an error now, not a signal later. */
static int map_region(struct memif_region *r, int fd, uint64_t size)
{
    void *p = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_POPULATE, fd, 0);

    if (p == MAP_FAILED)
        return -MEMIF_ENOMEM;
    *r = (struct memif_region){p, size};
    return 0;
}

/* ---- the client's ---- */

static int make_file(uint64_t size)
{
    int fd = memfd_create("codecast-memif", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    if (fd >= 0 && (ftruncate(fd, (off_t)size) < 0 || fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK) < 0)) {
        close(fd);
        return -1;
    }
    return fd;
}

int memif_shm_make(struct memif_shm *m, struct memif_ctl *c, uint8_t log2, uint32_t stride)
{
    uint32_t ring = (memif_ring_bytes(log2) + 4095) & ~4095u;
    uint64_t bufs = (uint64_t)stride << log2, size = 2 * (ring + bufs);
    struct memif_ring_use use = {.is_client = true, .stride = stride, .regions = m->regions, .nregions = 1};

    *m = (struct memif_shm){0};
    c->regions[0] = (struct memif_region_fact){make_file(size), size};
    c->nregions = 1;
    for (unsigned way = 0; way < 2; way++)
        c->rings[way] = (struct memif_ring_fact){eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK), 0, way * ring, log2, true};
    if (c->regions[0].fd < 0 || c->rings[0].fd < 0 || c->rings[1].fd < 0 || map_region(&m->regions[0], c->regions[0].fd, size) < 0)
        return -MEMIF_ENOMEM;
    m->nregions = 1;
    for (unsigned way = 0; way < 2; way++) {
        uint8_t *p = m->regions[0].p;

        use.is_sender = way == MEMIF_TO_SERVER;
        use.bell = c->rings[way].fd;
        use.bufs = p + 2 * ring + way * bufs;
        memif_ring_init(use.is_sender ? &m->send : &m->recv, (struct memif_ring_mem *)(void *)(p + way * ring), log2, &use);
    }
    return 0;
}

/* ---- the server's ---- */

static bool is_eventfd(int fd)
{
    char path[32], what[32] = "";

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    return readlink(path, what, sizeof(what) - 1) > 0 && strcmp(what, "anon_inode:[eventfd]") == 0;
}

static int check_region(const struct memif_region_fact *f)
{
    struct statfs fs;
    struct stat st;
    int seals;

    if (fstatfs(f->fd, &fs) < 0 || fs.f_type != TMPFS_MAGIC)
        return -MEMIF_EFD;
    fcntl(f->fd, F_ADD_SEALS, F_SEAL_SHRINK);
    seals = fcntl(f->fd, F_GET_SEALS);
    if (seals < 0 || !(seals & F_SEAL_SHRINK))
        return -MEMIF_EFD;
    if (fstat(f->fd, &st) < 0 || !S_ISREG(st.st_mode)) /* a size looked at before the seal could be another's by now */
        return -MEMIF_EFD;
    return (uint64_t)st.st_size >= f->size ? 0 : -MEMIF_EFD;
}

static int take_ring(struct memif_shm *m, const struct memif_ctl *c, unsigned way)
{
    const struct memif_ring_fact *f = &c->rings[way];
    struct memif_ring_use use = {.is_sender = way == MEMIF_TO_CLIENT, .bell = f->fd, .regions = m->regions, .nregions = m->nregions};
    uint64_t bytes = memif_ring_bytes(f->log2);

    if (f->region >= m->nregions || f->offset % RING_ALIGN || f->offset > m->regions[f->region].size ||
        bytes > m->regions[f->region].size - f->offset)
        return -MEMIF_ERING;
    if (!is_eventfd(f->fd) || fcntl(f->fd, F_SETFL, O_NONBLOCK) < 0)
        return -MEMIF_EFD;
    return memif_ring_init(use.is_sender ? &m->send : &m->recv, (struct memif_ring_mem *)(void *)(m->regions[f->region].p + f->offset), f->log2, &use);
}

int memif_shm_take(struct memif_shm *m, const struct memif_ctl *c)
{
    int rc;

    *m = (struct memif_shm){0};
    for (uint16_t i = 0; i < c->nregions; i++) {
        if ((rc = check_region(&c->regions[i])) < 0 || (rc = map_region(&m->regions[i], c->regions[i].fd, c->regions[i].size)) < 0)
            return rc;
        m->nregions++;
    }
    rc = take_ring(m, c, MEMIF_TO_SERVER);
    return rc < 0 ? rc : take_ring(m, c, MEMIF_TO_CLIENT);
}

static void close_fd(int *fd)
{
    if (*fd >= 0)
        close(*fd);
    *fd = -1;
}

void memif_shm_drop(struct memif_shm *m, struct memif_ctl *c)
{
    for (uint16_t i = 0; i < m->nregions; i++)
        munmap(m->regions[i].p, m->regions[i].size);
    *m = (struct memif_shm){0};
    for (unsigned i = 0; i < MEMIF_REGIONS_MAX; i++)
        close_fd(&c->regions[i].fd);
    close_fd(&c->rings[0].fd);
    close_fd(&c->rings[1].fd);
}
