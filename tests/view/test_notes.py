"""What is said of lifted people: joints that were never seen, person by person, and bones that nobody has."""

from __future__ import annotations

import numpy as np

from poselift.structures import Clip
from poselift.view.notes import standard_notes
from view.scenes import H36M, clip


def without(c: Clip, *joints: str) -> Clip:
    """Never seen at these joints."""
    conf = c.confidence.copy()
    conf[:, list(H36M.indices(*joints))] = 0
    return c.replace(conf=conf)


def said(*clips: Clip, word: str) -> list[str]:
    return [n for n in standard_notes(clips) if word in n]


def test_what_both_never_show_is_said_once():
    both = [without(clip(5, track_id=i), "l_ankle", "r_ankle") for i in (0, 1)]
    assert said(*both, word="Never seen") == [
        "Never seen, so only guessed, with confidence 0 and drawn thin: r_ankle, l_ankle."
    ]
    assert not said(clip(5), word="Never seen")


def test_half_a_body_beside_a_whole_one():
    (note,) = said(clip(5), without(clip(5, track_id=7), "l_wrist"), word="Never seen")
    assert note == "Never seen of person 7, so only guessed, with confidence 0 and drawn thin: l_wrist."


def squeezed(*children: str, by: float) -> Clip:
    """Bones to these joints are that much shorter; the limbs below them come along."""
    whole = clip(5, track_id=3)
    assert whole.p_root is not None
    p = whole.p_root.copy()
    for j in H36M.order:
        parent = H36M.parents[j]
        if parent >= 0:
            bone = whole.p_root[:, j] - whole.p_root[:, parent]
            p[:, j] = p[:, parent] + bone * (by if H36M.joints[j] in children else 1)
    return whole.replace(p_root=p.astype(np.float32))


def test_bones_that_nobody_has():
    assert not said(clip(5), word="nobody has")
    assert not said(squeezed("l_shoulder", "r_shoulder", by=0.6), word="nobody has"), "a child, or a lifter's error"
    assert not said(squeezed("l_elbow", by=0.1), word="nobody has"), "one side only: a limb that was misread"
    wrong = squeezed("l_shoulder", "r_shoulder", by=0.2)
    (note,) = said(wrong, word="nobody has")
    assert note.startswith("Person 3 has bones that nobody has (shoulder 0.0")
    assert not said(without(wrong, "thorax"), word="nobody has"), "only what was seen counts"
