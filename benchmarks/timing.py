"""How the programs of this folder measure time: in turns, after a warm-up, medians."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

__all__ = ["medians"]


def medians(
    work: Mapping[str, Callable[[], object]],
    repeats: int,
    *,
    warm_up: int = 2,
    clock: Callable[[], float] = time.process_time,
) -> dict[str, float]:
    """Median seconds of each, which take turns, so that a slow moment of the machine hits all of them alike.

    clock: seconds of the processor, which other jobs change little, or `time.perf_counter`. The first `warm_up` turns
    do not count.
    """
    seconds: dict[str, list[float]] = {name: [] for name in work}
    for turn in range(warm_up + repeats):
        for name, run in work.items():
            began = clock()
            run()
            if turn >= warm_up:
                seconds[name].append(clock() - began)
    return {name: statistics.median(values) for name, values in seconds.items()}
