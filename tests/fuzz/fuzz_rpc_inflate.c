/* A compressed message from a stranger: first byte says the format and where its bytes are cut into slices. */
#include <assert.h>

#include <grpc/grpc.h>

#include "rpc/rpc_inflate.h"

#define MAX_BYTES 100000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct rpc_msg *m;
    grpc_byte_buffer *bb;
    grpc_slice s[2];
    size_t cut;

    if (size < 1)
        return 0;
    cut = (data[0] >> 1) * (size - 1) / 128;
    s[0] = grpc_slice_from_static_buffer(data + 1, cut);
    s[1] = grpc_slice_from_static_buffer(data + 1 + cut, size - 1 - cut);
    bb = grpc_raw_compressed_byte_buffer_create(s, 2, data[0] & 1 ? GRPC_COMPRESS_GZIP : GRPC_COMPRESS_DEFLATE);
    if (rpc_inflate(&m, bb, MAX_BYTES) == 0)
        assert(rpc_msg_len(m) <= MAX_BYTES);
    rpc_msg_unref(m);
    grpc_byte_buffer_destroy(bb);
    return 0;
}
