"""Small drawings as inline SVG text: bars, lines, a spike raster, a mesh. Colours come from the page's CSS classes."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape

import numpy as np

from simulator.base.arrays import Floats
from simulator.base.shown import si

_FONT = 'font-family="inherit" font-size="12"'
LETTER, TICK = 6.4, 52  # mean width of a letter; least room of a tick's label
WIDE, NARROW = 1000, 350  # widths of a drawing: on a screen, on a phone


def frame(width: int, height: int, body: str, label: str) -> str:
    """Return an SVG element that scales with its column; `label` is read out by screen readers."""
    return (
        f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{escape(label)}" '
        f'style="max-width:{width}px" {_FONT}>{body}</svg>'
    )


def _of_both_widths(draw: Callable[[int], str]) -> str:
    """Return a drawing for a screen and one for a phone; the page's CSS shows one of them."""
    return "".join(
        draw(width).replace("<svg ", f'<svg class="{kind}" ', 1)
        for width, kind in ((WIDE, "screen"), (NARROW, "phone"))
    )


def _above(y: float, name: str) -> str:
    """Draw the name of a row above it, on a phone; a long one is squeezed to the width."""
    drawn = text(0, y, name)
    return (
        drawn.replace("<text ", f'<text textLength="{NARROW}" lengthAdjust="spacingAndGlyphs" ')
        if (LETTER * len(name) > NARROW)
        else drawn
    )


def text(x: float, y: float, value: str, anchor: str = "start", kind: str = "ink") -> str:
    """Draw one line of text."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" class="{kind}">{escape(value)}</text>'


def ticks(low: float, high: float, about: int = 5) -> list[float]:
    """Round numbers from low to high, about `about` of them."""
    span = max(high - low, 1e-300)
    raw = span / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = power * min((1, 2, 5, 10), key=lambda m: abs(m * power - raw))
    first = math.ceil(low / step - 1e-9) * step
    return [first + i * step for i in range(int((high - first) / step + 1e-9) + 1)]


def ranges_log(rows: Sequence[tuple[str, float, float, float | None, str]], unit: str, label: str) -> str:
    """Draw values with their ranges on a logarithmic axis, which has no zero for bars to begin at.

    Each row is (name, low, value, high or None, css class): a dot at the value, a line from the low to the high end.
    """
    shown = [r for r in rows if r[2] > 0]
    return _of_both_widths(lambda width: _ranges_log(shown, unit, label, width)) if shown else ""


def _ranges_log(shown: Sequence[tuple[str, float, float, float | None, str]], unit: str, label: str, width: int) -> str:
    ends = [e for _, low, value, top, _ in shown for e in (low, value, top) if e is not None and e > 0]
    low = math.floor(math.log10(min(ends)) - 1e-9)
    high = max(low + 1, math.ceil(math.log10(max(ends)) + 1e-9))
    narrow = width == NARROW
    left, right, row_height = (24, 24, 54) if narrow else (_left([name for name, *_ in shown]), 220, 28)
    scale = (width - left - right) / (high - low)
    height = row_height * len(shown) + 34
    body = []

    def at(number: float) -> float:
        return left + max(0.0, (math.log10(number) - low) * scale) if number > 0 else float(left)

    for power in range(low, high + 1, max(1, (high - low) // 6, math.ceil(TICK / scale))):
        x = left + (power - low) * scale
        body.append(f'<line x1="{x:.1f}" y1="4" x2="{x:.1f}" y2="{height - 26}" class="grid"/>')
        body.append(text(x, height - 8, si(10.0**power, unit), "middle", "soft"))
    for i, (name, least, value, most, kind) in enumerate(shown):
        y = 6 + i * row_height + (36 if narrow else 9)
        end = value if most is None else max(value, most)
        body.append(_above(y - 26, name) if narrow else text(left - 10, y + 5, name, "end"))
        body.append(f'<rect x="{at(least):.1f}" y="{y - 3}" width="{max(1.0, at(end) - at(least)):.1f}" height="6" rx="3" '
                    f'class="{kind}" fill-opacity="0.45"/>')  # fmt: skip
        body.append(f'<circle cx="{at(value):.1f}" cy="{y}" r="6" class="{kind}"/>')
        reach = f"{si(least, unit)} .. {si(end, unit)}" if most is not None else f"bound {si(least, unit)}"
        told = f"{si(value, unit)}  ({reach})"
        body.append(text(0, y - 11, told, kind="soft") if narrow else text(at(end) + 10, y + 5, told))
    return frame(width, height, "".join(body), label)


def _left(names: Sequence[str]) -> int:
    """Return the width of the names on the left of a drawing."""
    return max(120, min(560, 20 + round(LETTER * max(map(len, names)))))


def bars(rows: Sequence[tuple[str, float, str]], unit: str, label: str) -> str:
    """Draw horizontal bars on a linear axis from 0; each row is (name, value, css class)."""
    return _of_both_widths(lambda width: _bars(rows, unit, label, width)) if rows else ""


def _bars(rows: Sequence[tuple[str, float, str]], unit: str, label: str, width: int) -> str:
    top = max(v for _, v, _ in rows) or 1.0
    narrow = width == NARROW
    left, right, row_height = (0, 80, 38) if narrow else (_left([name for name, *_ in rows]), 110, 24)
    body = []
    for i, (name, value, kind) in enumerate(rows):
        y = 4 + i * row_height + (15 if narrow else 0)
        length = max(1.0, value / top * (width - left - right))
        body.append(_above(y - 3, name) if narrow else text(left - 10, y + 13, name, "end"))
        body.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="17" rx="2" class="{kind}"/>')
        body.append(text(left + length + 6, y + 13, f"{value:.3g} %" if unit == "%" else si(value, unit)))
    return frame(width, row_height * len(rows) + 8, "".join(body), label)


def columns(
    values: Floats,
    x_label: str,
    y_label: str,
    label: str,
    span: tuple[float, float] | None = None,
    whole: bool = False,
    top: float | None = None,
) -> str:
    """Draw one column a value (means of neighbours where there are more than 180 values).

    Args:
        values: heights.
        x_label, y_label, label: of the axes and of the drawing.
        span: first and last x, the first edge of the first column and the last of the last; by default their numbers.
        whole: label whole numbers of x alone.
        top: end of the axis of heights; the highest column by default.
    """
    values = np.asarray(values, float)
    return (
        _of_both_widths(lambda width: _columns(values, (x_label, y_label, label), width, span, whole, top))
        if values.size
        else ""
    )


def _columns(
    values: Floats,
    labels: tuple[str, str, str],
    width: int,
    span: tuple[float, float] | None,
    whole: bool,
    top: float | None,
) -> str:
    x_label, y_label, label = labels
    group = max(1, math.ceil(values.size / 180))
    padded = np.concatenate([values, np.full(-values.size % group, np.nan)]).reshape(-1, group)
    shown = np.nanmean(padded, axis=1)
    left, bottom, height = 78, 40, 210
    top = top or float(shown.max()) or 1.0
    plot_width, plot_height = width - left - 12, height - bottom - 12
    body = []
    for tick in ticks(0, top, 4):
        y = 12 + plot_height * (1 - tick / top)
        body.append(f'<line x1="{left}" y1="{y:.1f}" x2="{width - 12}" y2="{y:.1f}" class="grid"/>')
        body.append(text(left - 6, y + 4, f"{tick:,.6g}", "end", "soft"))
    column = plot_width / shown.size
    for i, value in enumerate(shown):
        h = plot_height * value / top
        body.append(
            f'<rect x="{left + i * column:.2f}" y="{12 + plot_height - h:.2f}" width="{max(0.6, column * 0.8):.2f}" '
            f'height="{h:.2f}" class="chip"/>'
        )
    first, last = span or (0.0, float(values.size))
    for tick in (t for t in ticks(first, last, 6 if width == WIDE else 4) if not whole or abs(t - round(t)) < 1e-9):
        x = left + (tick - first) / (last - first) * values.size / group * column
        body.append(text(x, height - bottom + 16, f"{tick:g}", "middle", "soft"))
    body.append(text(left + plot_width / 2, height - 6, x_label, "middle", "soft"))
    middle = 12 + plot_height / 2
    body.append(f'<g transform="rotate(-90 14 {middle})">{text(14, middle, y_label, "middle", "soft")}</g>')
    return frame(width, height, "".join(body), label)


def mesh(
    width_routers: int,
    height_routers: int,
    cores_per_router: int,
    load: Floats,
    names: Sequence[str],
    link: Floats | None,
    label: str,
    chip_width: int = 0,
) -> str:
    """Draw the chip's mesh: a square a core, darker = busier, outlined where used; lines are links, thicker = busier.

    Args:
        width_routers: routers in x.
        height_routers: routers in y.
        cores_per_router: cores of a router.
        load: [cores] in 0..1; NaN where a core holds nothing.
        names: [cores] tooltip of each core.
        link: [routers, 4] busy share of the outputs N (to y + 1, drawn downward), E, S, W, or None.
        label: for screen readers.
        chip_width: routers in x of one chip; a line parts the chips of a system (0: one chip).
    """
    per_row = math.ceil(math.sqrt(cores_per_router))
    cell = 40 if width_routers * (per_row * 40 + 40) <= 620 else 24 if width_routers <= 12 else 10
    tile = per_row * cell + (40 if width_routers <= 12 else 16)
    width, height = width_routers * tile + 12, height_routers * tile + 12
    top_link = float(link.max()) if link is not None and link.size and link.max() > 0 else 1.0
    links, cores = [], []
    for border in range(chip_width, width_routers, chip_width) if chip_width else ():
        x = 12 + border * tile - (tile - per_row * cell + 2) / 2
        links.append(f'<line x1="{x:.1f}" y1="0" x2="{x:.1f}" y2="{height}" class="mark"/>')
    for router in range(width_routers * height_routers):
        x, y = router // height_routers, router % height_routers
        x0, y0 = 12 + x * tile, 12 + y * tile
        if link is not None:
            for port, (dx, dy, ax, ay) in enumerate(((0, 1, 4, 0), (1, 0, 0, -4), (0, -1, -4, 0), (-1, 0, 0, 4))):
                busy = float(link[router, port])
                nx, ny = x + dx, y + dy
                if busy > 0 and 0 <= nx < width_routers and 0 <= ny < height_routers:
                    centre = per_row * cell / 2
                    links.append(
                        f'<line x1="{x0 + centre + ax:.1f}" y1="{y0 + centre + ay:.1f}" '
                        f'x2="{x0 + centre + dx * tile + ax:.1f}" y2="{y0 + centre + dy * tile + ay:.1f}" '
                        f'stroke-width="{1 + 5 * busy / top_link:.1f}" class="link"><title>link busy {busy:.1%}</title></line>'
                    )
        for k in range(cores_per_router):
            core = router * cores_per_router + k
            cx, cy = x0 + (k % per_row) * cell, y0 + (k // per_row) * cell
            used = core < load.size and not math.isnan(load[core])
            fill = f'class="chip" fill-opacity="{0.15 + 0.85 * load[core]:.2f}"' if used else 'class="empty"'
            title = names[core] if core < len(names) else ""
            cores.append(
                f'<rect x="{cx:.1f}" y="{cy:.1f}" width="{cell - 2}" height="{cell - 2}" rx="2" data-core="{core}" {fill}>'
                f"<title>{escape(title)}</title></rect>"
            )
    drawing = frame(width, height, "".join(links + cores), label)
    return drawing if width <= 1400 else drawing.replace('style="', f'style="min-width:{min(width, 3000)}px;', 1)
