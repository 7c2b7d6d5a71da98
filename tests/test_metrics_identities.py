"""Figures of tracking on tables small enough to count by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from poselift.metrics import Identities, identities

FRAME = np.repeat(np.arange(10), 2)
TRUE = np.tile([0, 1], 10)


def test_perfect_under_other_names() -> None:
    found = identities(FRAME, TRUE, np.where(TRUE == 0, 7, 3))
    assert found == Identities(detections=20, matched=20, people=2, tracks=2)
    assert found.idf1 == 1


def test_two_people_swap_once() -> None:
    given = np.where(FRAME < 6, TRUE, 1 - TRUE)
    found = identities(FRAME, TRUE, given)
    assert (found.matched, found.mixed, found.switches, found.stolen) == (12, 8, 2, 2)
    assert found.idf1 == pytest.approx(0.6)


def test_a_new_track_is_a_switch_but_mixes_nobody() -> None:
    given = np.where((TRUE == 0) & (FRAME >= 5), 9, TRUE)
    found = identities(FRAME, TRUE, given)
    assert (found.matched, found.mixed, found.switches, found.stolen, found.tracks) == (15, 0, 1, 0, 3)


def test_one_track_for_all() -> None:
    found = identities(FRAME, TRUE, np.zeros(20, int))
    assert (found.matched, found.mixed, found.switches, found.tracks) == (10, 10, 0, 1)


def test_no_track_matches_nobody_and_order_does_not_matter() -> None:
    given = np.where(FRAME < 2, -1, TRUE)
    found = identities(FRAME, TRUE, given)
    assert (found.matched, found.switches, found.tracks) == (16, 0, 2)
    order = np.random.default_rng(0).permutation(20)
    assert identities(FRAME[order], TRUE[order], given[order]) == found


def test_counts_add_up() -> None:
    a = identities(FRAME, TRUE, TRUE)
    assert (a + a).detections == 40
    assert (a + a).idf1 == 1
    assert math.isnan(Identities().idf1)
