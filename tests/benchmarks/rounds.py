"""Alternating rounds, and what is made of them: medians of ratios, never a ratio of numbers taken at two times."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ROUNDS = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of the table."""

    what: str
    ours: str
    other: str
    """What it is compared with, in the same unit."""
    ratio: float
    """Median over the rounds of ours / other."""
    ratio_p99: float | None = None
    """The same of the 99th percentiles."""
    at_most: float | None = None
    at_least: float | None = None

    @property
    def required(self) -> str:
        """The required ratio as the table shows it."""
        if self.at_most is not None:
            return f"<= {self.at_most:.4g}"
        return "" if self.at_least is None else f">= {self.at_least:.4g}"

    @property
    def verdict(self) -> str:
        """Whether the median ratio is as required."""
        if self.at_most is not None:
            return "met" if self.ratio <= self.at_most else "MISSED"
        if self.at_least is not None:
            return "met" if self.ratio >= self.at_least else "MISSED"
        return ""


Sample = Sequence[float]


def percentile(values: Sample, share: float) -> float:
    """Return the value below which ``share`` of all lie."""
    ordered = sorted(values)
    return ordered[min(int(len(ordered) * share), len(ordered) - 1)]


def timed(call: Callable[[], object], count: int, prepare: Callable[[], object] | None = None) -> list[float]:
    """Return the seconds of each of ``count`` calls; ``prepare`` runs before each, outside the time."""
    seconds = []
    for _ in range(count):
        if prepare is not None:
            prepare()
        began = time.perf_counter()
        call()
        seconds.append(time.perf_counter() - began)
    return seconds


Round = tuple[Sample, Sample]


def alternate(ours: Callable[[], Sample], other: Callable[[], Sample], rounds: int = ROUNDS) -> list[Round]:
    """Run both in turn, the order turned round each time, after one of each that does not count."""
    ours(), other()
    pairs: list[Round] = []
    for number in range(rounds):
        if number % 2:
            second = other()
            pairs.append((ours(), second))
        else:
            first = ours()
            pairs.append((first, other()))
    return pairs


def compare(
    what: str, rounds: list[Round], *, at_most: float | None = None, at_least: float | None = None, unit: str = "us"
) -> Line:
    """Make the line of samples of durations in seconds."""
    ratio = statistics.median(statistics.median(a) / statistics.median(b) for a, b in rounds)
    tail = statistics.median(percentile(a, 0.99) / percentile(b, 0.99) for a, b in rounds)
    return Line(
        what=what,
        ours=shown([a for a, _ in rounds], unit),
        other=shown([b for _, b in rounds], unit),
        ratio=ratio,
        ratio_p99=tail,
        at_most=at_most,
        at_least=at_least,
    )


_FACTOR = {"us": 1e6, "ms": 1e3, "s": 1.0}


def shown(samples: Sequence[Sample], unit: str) -> str:
    """Return medians over the rounds of p50 and p99, such as ``310 us, p99 540``."""
    middle = statistics.median(statistics.median(s) for s in samples) * _FACTOR[unit]
    tail = statistics.median(percentile(s, 0.99) for s in samples) * _FACTOR[unit]
    return f"{middle:.3g} {unit}, p99 {tail:.3g}"


def compare_rates(
    what: str, rounds: Sequence[tuple[float, float]], unit: str, *, at_most: float | None = None,
    at_least: float | None = None,
) -> Line:  # fmt: skip
    """Make the line of one number per round and side, such as deliveries per second."""
    return Line(
        what=what,
        ours=f"{statistics.median(a for a, _ in rounds):.3g} {unit}",
        other=f"{statistics.median(b for _, b in rounds):.3g} {unit}",
        ratio=statistics.median(a / b for a, b in rounds),
        at_most=at_most,
        at_least=at_least,
    )
