"""The table, on the terminal and in ``docs/references/benchmarks.rst``, and the plots beside it."""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata

from tests.benchmarks import host
from tests.benchmarks.curves import Curve
from tests.benchmarks.rounds import Line

PAGE = host.ROOT / "docs" / "references" / "benchmarks.rst"
PLOTS = host.ROOT / "docs" / "_static" / "benchmarks"
HEADINGS = ("What / beside what", "Ours", "Other", "Ratio", "at p99", "Required", "")
_INTRODUCTION = """\

Benchmarks
##########

Written by ``make bench``, which runs everything on one machine, in alternating rounds, and so compares in ratios: a
ratio is the median, over the rounds, of ours divided by the other's in the same round. Times are medians of a round's
p50, with its p99 beside. The absolute figures are one machine's; the ratios should be yours.

How it is measured
******************

The events are the platform's own, about 1 kB each as they go over the wire; the site is the stand-in LMS with
``BROKER_POOL_LIMIT = 0``, MariaDB with its default durability, and Redis. Receivers run in a process of their own.
What an event costs in the request is measured inside ``transaction.atomic``, as ``ATOMIC_REQUESTS`` has it, without the
commit. One worker process means one: signed and recorded deliveries of ten webhooks that all want the event. The bare
loop signs and posts the same bytes with aiohttp, 32 at once, and records nothing; beside it, each round is three short
ones, in turns. ``openedx-webhooks`` 22.0.0 and ``django-webhook`` 0.0.15 run in environments of their own, driven by
what they document.
"""


_WHY = {
    "without the event": "The event itself is not in the other number: the platform's ``send_event``, and the body that"
    " is made of its arguments. The line below it has the event on both sides.",
    "a bare aiohttp loop": "The loop does nothing but sign and post. Counted in instructions, which no other machine on"
    " the same host disturbs, a delivery is 1.4 times one of its posts: 0.95 to send it, the rest to claim, sign,"
    " log and record it. Measured in time, the ratio moves with the host by a fifth in either direction. The database"
    " works on the same cores.",
    "two savepoints, four INSERTs": "The events and their bodies are in our number and not in the other.",
}
"""What a missed line compares -> why it was missed, as far as we know."""


def table(lines: Sequence[Line]) -> str:
    """Return the lines in columns, for a terminal."""
    rows = [HEADINGS, *(_cells(line) for line in lines)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADINGS))]
    padded = [[cell.ljust(width) for cell, width in zip(row, widths, strict=True)] for row in rows]
    return "\n".join("  ".join(cells).rstrip() for cells in padded)


def _cells(line: Line) -> tuple[str, ...]:
    tail = "" if line.ratio_p99 is None else f"{line.ratio_p99:.3g}"
    return line.what, line.ours, line.other, f"{line.ratio:.3g}", tail, line.required, line.verdict


def write(
    lines: Sequence[Line], curves: Sequence[Curve], more: Mapping[str, str], *, rounds: int, versions: Mapping[str, str]
) -> None:
    """Write the page and its plots; ``more`` is what other benchmarks printed, by their names."""
    drawn = [curve for curve in curves if _draw(curve)]
    parts = [_INTRODUCTION, _circumstances(rounds, versions), _list_table(lines), _why(lines)]
    parts += [_figure(curve) for curve in drawn] or ["The plots need matplotlib.\n"] * bool(curves)
    parts += [_printed(name, text) for name, text in more.items()]
    PAGE.write_text("\n".join(parts), encoding="utf-8")


def _circumstances(rounds: int, versions: Mapping[str, str]) -> str:
    names = ("openedx-webhooks", "Django", "aiohttp", "celery", "openedx-events", "mysqlclient")
    said = [f"{name} {metadata.version(name)}" for name in names] + [f"{k} {v}" for k, v in versions.items()]
    return (
        f"On {datetime.now(UTC):%Y-%m-%d}, {rounds} rounds, {os.cpu_count()} cores ({platform.machine()}), Python"
        f" {sys.version_info.major}.{sys.version_info.minor}.{sys.version_info.micro}; {', '.join(said)}.\n"
    )


def _list_table(lines: Sequence[Line]) -> str:
    rows = [HEADINGS, *(_cells(line) for line in lines)]
    text = ["Results", "*******", "", ".. list-table::", "   :header-rows: 1", "   :widths: 40 16 16 8 8 8 8", ""]
    for row in rows:
        text += [f"   {'* ' if not position else '  '}- {cell}".rstrip() for position, cell in enumerate(row)]
    return "\n".join([*text, ""])


def _why(lines: Sequence[Line]) -> str:
    """Return why lines were missed."""
    missed = [line.what for line in lines if line.verdict == "MISSED"]
    known = [why for part, why in _WHY.items() if any(part in what for what in missed)]
    return "\n".join(["Why ratios are missed:", "", *(f"- {why}" for why in known), ""]) if known else ""


def _draw(curve: Curve) -> bool:
    """Draw a curve where matplotlib is installed; return whether."""
    try:
        import matplotlib as mpl
    except ImportError:
        return False
    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = curve.name
    figure, axes = pyplot.subplots(figsize=(6, 3.2), layout="constrained")
    across, up = zip(*curve.points, strict=True)
    axes.plot(across, up, marker="o", color="#15696b")
    axes.set_xscale("symlog" if min(across) == 0 else "log")
    axes.set(xlabel=curve.across, ylabel="ms", title=curve.title, ylim=(0, None))
    axes.grid(visible=True, alpha=0.3)
    PLOTS.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOTS / f"{curve.name}.svg", metadata={"Date": None})
    pyplot.close(figure)
    return True


def _figure(curve: Curve) -> str:
    said = ", ".join(f"{x:g}: {y:.3g} ms" for x, y in curve.points)
    return (
        f".. figure:: ../_static/benchmarks/{curve.name}.svg\n   :alt: {curve.title}, in ms, by {curve.across}.\n\n"
        f"   {curve.title}, in ms, by {curve.across} ({said}).\n"
    )


def _printed(name: str, text: str) -> str:
    indented = "\n".join(f"   {line}".rstrip() for line in text.strip().splitlines())
    return f"{name}\n{'*' * len(name)}\n\n.. code-block:: text\n\n{indented}\n"
