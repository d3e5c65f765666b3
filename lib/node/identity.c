#include "node/identity.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "crypto/crypto.h"
#include "libp2p/keyfile.h"

static int path_of(const char *dir, const char *name, char out[4096], char err[512])
{
    if (snprintf(out, 4096, "%s/%s", dir, name) < 4096)
        return 0;
    snprintf(err, 512, "the folder's name is too long");
    return -1;
}

static ssize_t read_all(int fd, uint8_t *out, size_t cap)
{
    size_t n = 0;

    while (n < cap) {
        ssize_t got = read(fd, out + n, cap - n);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return -1;
        if (got == 0)
            break;
        n += (size_t)got;
    }
    return (ssize_t)n;
}

int identity_load(struct key_pair *key, const char *dir, char err[512])
{
    uint8_t file[KEYFILE_MAX + 1];
    struct keyfile_why why = {0};
    char path[4096], line[256];
    int fd, rc;
    ssize_t n;

    if (path_of(dir, "p2p.key", path, err))
        return -1;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        snprintf(err, 512, "%.300s: %s", path, strerror(errno));
        return errno == ENOENT || errno == ENOTDIR ? 1 : -1;
    }
    n = read_all(fd, file, sizeof(file));
    close(fd);
    if (n < 0) {
        snprintf(err, 512, "%.300s cannot be read", path);
        return -1;
    }
    rc = keyfile_parse(key, slice_of(file, (size_t)n), &why);
    crypto_wipe(file, sizeof(file));
    if (!rc)
        return 0;
    keyfile_explain(rc, &why, line, sizeof(line));
    snprintf(err, 512, "%.240s: %s", path, line);
    return -1;
}

static int make_dirs(const char *dir)
{
    char path[4096];

    snprintf(path, sizeof(path), "%s", dir);
    for (char *p = path + 1; *p; p++)
        if (*p == '/') {
            *p = 0;
            if (mkdir(path, 0755) && errno != EEXIST)
                return -1;
            *p = '/';
        }
    return mkdir(path, 0700) && errno != EEXIST ? -1 : 0;
}

/* Root, as in a container, makes the file for the folder's owner, who is to read and keep it. */
static void give_to_owner(int fd, const char *dir)
{
    struct stat st;

    if (geteuid() == 0 && stat(dir, &st) == 0 && st.st_uid != 0)
        (void)!fchown(fd, st.st_uid, st.st_gid); /* a file system without owners: as it is */
}

/* Written beside and renamed, so that a half-written key never bears the name. */
static int write_file(const char *dir, const uint8_t *bytes, size_t len, char err[512])
{
    char path[4096], part[4096];
    int fd;
    bool is_ok;

    if (path_of(dir, "p2p.key", path, err) || path_of(dir, "p2p.key.part", part, err))
        return -1;
    if (make_dirs(dir)) {
        snprintf(err, 512, "the folder %.300s cannot be made: %s", dir, strerror(errno));
        return -1;
    }
    fd = open(part, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd >= 0)
        give_to_owner(fd, dir);
    is_ok = fd >= 0 && write(fd, bytes, len) == (ssize_t)len && fsync(fd) == 0;
    if (fd >= 0 && close(fd))
        is_ok = false;
    if (is_ok && rename(part, path) == 0)
        return 0;
    snprintf(err, 512, "%.300s cannot be written: %s", path, strerror(errno));
    if (fd >= 0)
        unlink(part);
    return -1;
}

static void make_key(struct key_pair *key, enum key_type type)
{
    struct rng rng;

    rng_init_system(&rng);
    key_pair_init_type(key, type, &rng);
}

static int store(const struct key_pair *key, const char *dir, char err[512])
{
    uint8_t file[KEYFILE_MAX];
    ssize_t n = keyfile_format(key, file, sizeof(file));
    int rc;

    if (n < 0) {
        snprintf(err, 512, "the key does not fit its file");
        return -1;
    }
    rc = write_file(dir, file, (size_t)n, err);
    crypto_wipe(file, sizeof(file));
    return rc;
}

int identity_generate(struct key_pair *key, enum key_type type, const char *dir, char err[512])
{
    make_key(key, type);
    if (store(key, dir, err) == 0)
        return 0;
    key_pair_fini(key);
    return -1;
}

int identity_open(struct key_pair *key, const char *dir, enum identity_origin *origin, char err[512])
{
    int rc = identity_load(key, dir, err);

    *origin = IDENTITY_LOADED;
    if (rc <= 0)
        return rc;
    make_key(key, KEY_ED25519);
    *origin = store(key, dir, err) == 0 ? IDENTITY_MADE : IDENTITY_MADE_FOR_THIS_RUN;
    return 0;
}
