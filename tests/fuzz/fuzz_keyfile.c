/* fuzz_keyfile.c: the input as a file, and as a file's content behind the right checksum */
#include <stdlib.h>

#include "libp2p/keyfile.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void try_file(struct slice file)
{
    uint8_t out[KEYFILE_MAX];
    struct key_pair k, again;
    struct keyfile_why why;
    char line[256];
    ssize_t n;
    int rc = keyfile_parse(&k, file, &why);

    keyfile_explain(rc, &why, line, sizeof(line));
    if (rc)
        return;
    n = keyfile_format(&k, out, sizeof(out));
    if (n < 0 || keyfile_parse(&again, slice_of(out, (size_t)n), NULL) ||
        memcmp(&k, &again, sizeof(k)) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    uint8_t *file = malloc(len + 8);
    uint64_t sum = keyfile_sum(slice_of(data, len));

    if (!file)
        return 0;
    try_file(slice_of(data, len));
    for (unsigned i = 0; i < 8; i++)
        file[i] = (uint8_t)(sum >> (8 * i));
    if (len)
        memcpy(file + 8, data, len);
    try_file(slice_of(file, len + 8));
    free(file);
    return 0;
}
