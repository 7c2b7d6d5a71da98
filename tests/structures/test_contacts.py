"""Contacts of feet."""

from __future__ import annotations

import numpy as np

from poselift.structures.contacts import FAST_M_S, HIGH_M, LOW_M, SLOW_M_S, contacts


def test_a_foot_stands_where_it_is_low_and_slow_and_until_it_is_high_or_fast() -> None:
    height, speed = np.zeros(100), np.zeros(100)
    height[:20] = 1
    height[20:25] = (LOW_M + HIGH_M) / 2  # not yet low enough to begin, but after it has begun it holds
    speed[60:65] = (SLOW_M_S + FAST_M_S) / 2
    speed[65:] = 3
    assert contacts(height, speed, 50.0) == [(20, 65)]
    assert contacts(height + (LOW_M + HIGH_M) / 2, speed, 50.0) == [], "never low"
    assert contacts(height, speed + (SLOW_M_S + FAST_M_S) / 2, 50.0) == [], "never slow"


def test_short_gaps_are_filled_and_short_contacts_are_none() -> None:
    height = np.ones(100)
    height[10:30] = height[32:50] = 0
    height[70:74] = 0
    assert contacts(height, np.zeros(100), 50.0) == [(10, 50)]
    assert contacts(height, np.zeros(100), 20.0) == [(10, 30), (32, 50), (70, 74)], "the same frames, but longer"
    sure = np.ones(100, bool)
    sure[20:25] = sure[30:32] = False
    assert contacts(height, np.zeros(100), 50.0, sure=sure) == [(10, 20), (32, 50)]
