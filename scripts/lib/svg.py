"""Plots as SVG, with nothing but the standard library: lines (CDFs, curves) and bars."""
import html
import math

COLORS = ['#1b6ca8', '#d1495b', '#3a7d44', '#edae49', '#6a4c93', '#00798c', '#8d5524', '#555555']
W, H, LEFT, RIGHT, TOP, BOTTOM = 720, 420, 70, 20, 36, 58


def ticks(lo, hi, n=6):
    span = hi - lo or 1
    step = 10 ** math.floor(math.log10(span / n))
    for m in (1, 2, 2.5, 5, 10):
        if span / (step * m) <= n:
            step *= m
            break
    first = math.ceil(lo / step) * step
    out = []
    while first <= hi + step * 1e-9:
        out.append(round(first, 10))
        first += step
    return out


def text(x, y, s, anchor='middle', size=12, extra=''):
    return f'<text x="{x:.1f}" y="{y:.1f}" font-size="{size}" text-anchor="{anchor}" {extra}>{html.escape(str(s))}</text>'


def frame(title, xlabel, ylabel, body, height=H):
    return (f'<svg xmlns="http://www.w3.org/2000/svg" width="{W}" height="{height}" viewBox="0 0 {W} {height}" '
            f'font-family="sans-serif"><rect width="100%" height="100%" fill="white"/>'
            + text(W / 2, 20, title, size=15) + text((LEFT + W - RIGHT) / 2, H - 10, xlabel)
            + text(16, (TOP + H - BOTTOM) / 2, ylabel, extra=f'transform="rotate(-90 16 {(TOP + H - BOTTOM) / 2})"')
            + ''.join(body) + '</svg>\n')


def num(v):
    return f'{v:g}'


def axes(xt, yt, sx, sy):
    out = []
    for v in xt:
        out.append(f'<line x1="{sx(v):.1f}" x2="{sx(v):.1f}" y1="{TOP}" y2="{H - BOTTOM}" stroke="#ddd"/>')
        out.append(text(sx(v), H - BOTTOM + 16, num(v)))
    for v in yt:
        out.append(f'<line x1="{LEFT}" x2="{W - RIGHT}" y1="{sy(v):.1f}" y2="{sy(v):.1f}" stroke="#ddd"/>')
        out.append(text(LEFT - 6, sy(v) + 4, num(v), 'end'))
    out.append(f'<rect x="{LEFT}" y="{TOP}" width="{W - LEFT - RIGHT}" height="{H - TOP - BOTTOM}" fill="none" stroke="#888"/>')
    return out


def legend(names):
    rows = [f'<rect x="{LEFT + 10}" y="{H + 14 + 18 * i}" width="14" height="10" fill="{COLORS[i % len(COLORS)]}"/>'
            + text(LEFT + 30, H + 23 + 18 * i, n, 'start') for i, n in enumerate(names)]
    return rows, H + 24 + 18 * len(names)


def lines(path, title, xlabel, ylabel, series, xlog=False, ymax=None):
    """series: {name: [(x, y), ...]}"""
    pts = [p for s in series.values() for p in s]
    if not pts:
        return
    fx = (lambda v: math.log10(max(v, 1e-9))) if xlog else (lambda v: v)
    x0, x1 = min(fx(p[0]) for p in pts), max(fx(p[0]) for p in pts)
    x0 = x0 if xlog else 0
    y1 = ymax or max(p[1] for p in pts) * 1.05 or 1
    x1 = x1 if x1 > x0 else x0 + 1

    def sx(v):
        return LEFT + (fx(v) - x0) / (x1 - x0) * (W - LEFT - RIGHT)

    def sy(v):
        return H - BOTTOM - v / y1 * (H - TOP - BOTTOM)
    xt = [10 ** e * m for e in range(math.floor(x0), math.ceil(x1) + 1) for m in (1, 2, 5)
          if x0 <= math.log10(10 ** e * m) <= x1] if xlog else ticks(x0, x1)
    body = axes(xt, ticks(0, y1), sx, sy)
    for i, s in enumerate(series.values()):
        p = ' '.join(f'{sx(x):.1f},{sy(y):.1f}' for x, y in s)
        body.append(f'<polyline points="{p}" fill="none" stroke="{COLORS[i % len(COLORS)]}" stroke-width="1.8"/>')
    rows, height = legend(series)
    with open(path, 'w') as f:
        f.write(frame(title, xlabel, ylabel, body + rows, height))


def bars(path, title, ylabel, groups, names):
    """groups: {label: [value for each name]}; None leaves a gap"""
    values = [v for g in groups.values() for v in g if v is not None]
    if not values:
        return
    y1 = max(values) * 1.08 or 1

    def sy(v):
        return H - BOTTOM - v / y1 * (H - TOP - BOTTOM)
    body = axes([], ticks(0, y1), None, sy)
    width = (W - LEFT - RIGHT) / len(groups)
    one = width * 0.8 / len(names)
    for gi, (label, g) in enumerate(groups.items()):
        x = LEFT + width * (gi + 0.1)
        body.append(text(x + width * 0.4, H - BOTTOM + 16, label))
        for i, v in enumerate(g):
            if v is not None:
                body.append(f'<rect x="{x + one * i:.1f}" y="{sy(v):.1f}" width="{max(one - 1, 1):.1f}" '
                            f'height="{H - BOTTOM - sy(v):.1f}" fill="{COLORS[i % len(COLORS)]}"/>')
                body.append(text(x + one * (i + 0.5), sy(v) - 3, num(float(f'{v:.3g}')), size=9))
    rows, height = legend(names)
    with open(path, 'w') as f:
        f.write(frame(title, '', ylabel, body + rows, height))
