/* rpc_descriptors.h: a FileDescriptorSet, indexed by file name and symbol
 * Shape:   bytes -> files; file -> its bytes and those of all it imports
 * Source:  google/protobuf/descriptor.proto
 * Memory:  the set is borrowed for life; answers point into it
 * Owner:   immutable after make; any thread
 * Errors:  NULL: malformed or no memory; lookups say -1 for "not there"
 */
#ifndef RPC_RPC_DESCRIPTORS_H
#define RPC_RPC_DESCRIPTORS_H

#include "base/slice.h"

#define RPC_MAX_FILES 64

struct rpc_descriptors;

struct rpc_descriptors *rpc_descriptors_new(struct slice set);
void rpc_descriptors_free(struct rpc_descriptors *d);
int rpc_descriptors_by_name(const struct rpc_descriptors *d, struct slice name);
/* The file that declares "package.Service", "package.Service.Method", "package.Message", "package.Message.field"... */
int rpc_descriptors_by_symbol(const struct rpc_descriptors *d, struct slice symbol);
bool rpc_descriptors_has_message(const struct rpc_descriptors *d, struct slice name);
/* The file and, after it, everything it imports, once each, as FileDescriptorProto bytes. Returns how many. */
unsigned rpc_descriptors_with_imports(const struct rpc_descriptors *d, int file, struct slice out[RPC_MAX_FILES]);

#endif
