/* descriptors.h: every .proto of this folder as one serialized FileDescriptorSet, for server reflection */
#ifndef PROTO_DESCRIPTORS_H
#define PROTO_DESCRIPTORS_H

extern const unsigned char proto_descriptors[];
extern const unsigned long proto_descriptors_bytes;

#endif
