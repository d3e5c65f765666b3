#!/usr/bin/env python3
"""Writes a file's bytes as a C array: embed.py IN OUT SYMBOL."""
import sys

data = open(sys.argv[1], 'rb').read()
with open(sys.argv[2], 'w') as out:
    out.write('#include "proto/descriptors.h"\n\n')
    out.write('const unsigned char %s[] = {\n' % sys.argv[3])
    for i in range(0, len(data), 16):
        out.write('    ' + ' '.join('0x%02x,' % b for b in data[i:i + 16]) + '\n')
    out.write('};\nconst unsigned long %s_bytes = sizeof(%s);\n' % (sys.argv[3], sys.argv[3]))
