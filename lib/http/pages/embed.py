"""embed.py OUT FILE...: the files as a C table (http_pages.h)."""
import hashlib
import pathlib
import sys

TYPES = {'.html': 'text/html; charset=utf-8', '.css': 'text/css; charset=utf-8', '.js': 'text/javascript; charset=utf-8',
         '.svg': 'image/svg+xml'}

out = ['/* Made by embed.py. */', '#include "http/http_pages.h"', '']
rows = []
for i, path in enumerate(pathlib.Path(p) for p in sys.argv[2:]):
    data = path.read_bytes()
    etag = hashlib.sha256(data).hexdigest()[:16]
    out.append(f'static const uint8_t file{i}[] = {{')
    out += [','.join(str(b) for b in data[at:at + 32]) + ',' for at in range(0, len(data), 32)]
    out.append('};')
    rows.append(f'    {{"{path.name}", "{TYPES[path.suffix]}", "\\"{etag}\\"", file{i}, sizeof(file{i})}},')
out += ['const struct http_page http_pages[] = {', *rows, '};', f'const size_t http_pages_count = {len(rows)};', '']
pathlib.Path(sys.argv[1]).write_text('\n'.join(out))
