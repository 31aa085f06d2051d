"""Our own SVG. Only shapes stretch with the page; all text stands outside, so that it is readable on a phone."""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from batchgen.results.report.figures import Histogram, Progress
from batchgen.results.report.wording import counted, duration

_WIDTH, _HEIGHT = 600, 180


def bars(shape: Histogram) -> Markup:
    """Job times as bars; each says its range and count when pointed at."""
    most = max(shape.counts)
    step = _WIDTH / len(shape.counts)
    drawn = Markup("")
    for n, count in enumerate(shape.counts):
        height = max(count / most * (_HEIGHT - 6), 2.0 if count else 0.0)
        low_s, high_s = shape.end_s * n / len(shape.counts), shape.end_s * (n + 1) / len(shape.counts)
        until = duration(high_s) if n + 1 < len(shape.counts) else "more"
        drawn += Markup('<rect x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>').format(
            n * step + 1, _HEIGHT - height, step - 2, height, f"{duration(low_s)} to {until}: {counted(count, 'job')}"
        )
    label = f"Job times: half took {duration(shape.median_s)} or less, 95 of 100 took {duration(shape.p95_s)} or less"
    return _figure("bars", label, drawn + _upright(shape.median_s / shape.end_s))


def _upright(share: float) -> Markup:
    x = min(share, 1.0) * _WIDTH
    return Markup('<line class="median" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>').format(x, _HEIGHT)


def area(shape: Progress) -> Markup:
    """Rows over time: collected as an area, and on top of it those that did not work out."""
    top = max(shape.collected[-1] + shape.others[-1], 1)
    both = [good + bad for good, bad in zip(shape.collected, shape.others, strict=True)]
    drawn = Markup("")
    if shape.others[-1]:
        drawn += Markup('<path class="others" d="{}"/>').format(_band(both, shape.collected, top))
    drawn += Markup('<path class="collected" d="{}"/>').format(_filled(shape.collected, top))
    drawn += Markup('<path class="edge" d="{}"/>').format(_line(shape.collected, top))
    label = f"Progress: {counted(shape.collected[-1], 'row')} collected in {duration(shape.end - shape.start)}"
    return _figure("area", label, drawn)


def _points(counts: Sequence[int], top: int) -> str:
    step = _WIDTH / (len(counts) - 1)
    points = (f"{n * step:.1f},{_HEIGHT - count / top * (_HEIGHT - 6):.1f}" for n, count in enumerate(counts))
    return " L".join(points)


def _band(upper: Sequence[int], lower: Sequence[int], top: int) -> str:
    back = " L".join(reversed(_points(lower, top).split(" L")))
    return f"M{_points(upper, top)} L{back} Z"


def _line(counts: Sequence[int], top: int) -> str:
    return f"M{_points(counts, top)}"


def _filled(counts: Sequence[int], top: int) -> str:
    return f"M0,{_HEIGHT} L{_points(counts, top)} L{_WIDTH},{_HEIGHT} Z"


def share_bar(shares: Sequence[tuple[str, int]]) -> Markup:
    """Parts of a whole side by side; each is (class, count)."""
    total = max(sum(count for _, count in shares), 1)
    drawn, x = Markup(""), 0.0
    for name, count in shares:
        width = count / total * 1000
        drawn += Markup('<rect class="{}" x="{:.2f}" y="0" width="{:.2f}" height="10"/>').format(name, x, width)
        x += width
    return Markup(
        '<svg class="shares" viewBox="0 0 1000 10" preserveAspectRatio="none" aria-hidden="true">{}</svg>'
    ).format(drawn)


def _figure(name: str, label: str, drawn: Markup) -> Markup:
    return Markup(
        '<svg class="{}" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>'
    ).format(name, _WIDTH, _HEIGHT, label, drawn)
