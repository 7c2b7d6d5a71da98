"""Figures of tracking: are people told apart over time? From detections whose true and given ids are known.

Only ids are judged: whoever the detector has not found costs nothing here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

__all__ = ["Identities", "identities"]


@dataclass(frozen=True, kw_only=True)
class Identities:
    """Counts that add up over scenes.

    detections; matched: those that the best one-to-one mapping of given to true ids explains (IDTP); mixed: those in
    the track of somebody else, who has more of it; switches: times that a person's id differs from his one before, of
    them `stolen`: to an id that was somebody else's; people, tracks: different true and given ids.
    """

    detections: int = 0
    matched: int = 0
    mixed: int = 0
    switches: int = 0
    stolen: int = 0
    people: int = 0
    tracks: int = 0

    def __add__(self, other: Identities) -> Identities:
        return Identities(**{n: getattr(self, n) + getattr(other, n) for n in self.__dataclass_fields__})

    @property
    def idf1(self) -> float:
        """IDF1 (Ristani et al., 2016), 0 to 1: every detection that is not matched is both a false and a missed one."""
        return self.matched / self.detections if self.detections else float("nan")


def identities(frame: Int[np.ndarray, " n"], true: Int[np.ndarray, " n"], given: Int[np.ndarray, " n"]) -> Identities:
    """Compare ids `given` (n,) to detections with those that are `true` (n,); frame (n,) says when each was.

    A given id below 0 is no track and matches nobody.
    """
    if not len(frame):
        return Identities()
    from scipy.optimize import linear_sum_assignment

    who, t = np.unique(true, return_inverse=True)
    in_track = given >= 0
    ids, g = np.unique(given[in_track], return_inverse=True)
    table = np.zeros((len(who), len(ids)), np.int64)
    np.add.at(table, (t[in_track], g), 1)
    best = int(table[linear_sum_assignment(-table)].sum())
    mixed = int((table.sum(0) - table.max(0, initial=0)).sum())
    switches = stolen = 0
    last: dict[int, int] = {}
    owner: dict[int, int] = {}
    for i in np.argsort(frame, kind="stable").tolist():
        person, track = int(true[i]), int(given[i])
        if track < 0:
            continue
        if last.get(person, track) != track:
            switches += 1
            stolen += owner.get(track, person) != person
        last[person], owner[track] = track, person
    return Identities(
        detections=len(frame), matched=best, mixed=mixed, switches=switches, stolen=stolen, people=len(who),
        tracks=len(ids),
    )  # fmt: skip
