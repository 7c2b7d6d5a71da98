"""BVH of anybody's making: forward kinematics against bvhio, names in common use, damaged files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from poselift.errors import InputError
from poselift.formats import detect, read_motion
from poselift.formats.base import ReadOptions
from poselift.formats.bvh import read_bvh
from poselift.formats.bvh_file import forward, parse_bvh
from poselift.structures import skeleton

H36M = skeleton("h36m17")

# A figure in centimetres, y up, facing z: every joint's place, in the roles that files give names to.
PLACES = {
    "root": (0, 95, 0), "waist": (0, 105, 0), "back": (0, 117, 0), "chest": (0, 130, 0), "neck": (0, 147, 0),
    "neck2": (0, 153, 1), "head": (0, 160, 2), "top": (0, 178, 2),
    "l_collar": (3, 142, 0), "l_shoulder": (18, 143, 0), "l_elbow": (46, 143, 0), "l_wrist": (71, 143, 0),
    "l_hand": (79, 143, 0), "r_collar": (-3, 142, 0), "r_shoulder": (-18, 143, 0), "r_elbow": (-46, 143, 0),
    "r_wrist": (-71, 143, 0), "r_hand": (-79, 143, 0), "l_hip": (9, 90, 0), "l_knee": (9, 48, 1), "l_ankle": (9, 8, 0),
    "l_toe": (9, 2, 12), "r_hip": (-9, 90, 0), "r_knee": (-9, 48, 1), "r_ankle": (-9, 8, 0), "r_toe": (-9, 2, 12),
}  # fmt: skip
PARENT = {
    "root": "-", "waist": "root", "back": "waist", "chest": "back", "neck": "chest", "neck2": "neck", "head": "neck2",
    "top": "head",
    "l_collar": "chest", "l_shoulder": "l_collar", "l_elbow": "l_shoulder", "l_wrist": "l_elbow", "l_hand": "l_wrist",
    "r_collar": "chest", "r_shoulder": "r_collar", "r_elbow": "r_shoulder", "r_wrist": "r_elbow", "r_hand": "r_wrist",
    "l_hip": "root", "l_knee": "l_hip", "l_ankle": "l_knee", "l_toe": "l_ankle",
    "r_hip": "root", "r_knee": "r_hip", "r_ankle": "r_knee", "r_toe": "r_ankle",
}  # fmt: skip


def family(
    central: str, limbs: str, pattern: str, *, second_neck: str = "", sides: str = "Left Right"
) -> dict[str, str]:
    """Names for the roles: six central ones (root … head), and seven of a limb put into `pattern`."""
    roles = ("root", "waist", "back", "chest", "neck", "head")
    names: dict[str, str] = dict(zip(roles, central.split(), strict=True))
    if second_neck:
        names["neck2"] = second_neck
    roles = ("collar", "shoulder", "elbow", "wrist", "hip", "knee", "ankle")
    for side, word in zip("lr", sides.split(), strict=True):
        for role, name in zip(roles, limbs.split(), strict=True):
            names[f"{side}_{role}"] = pattern.format(side=word, name=name).replace("~", " ")
    return {role: name.replace("~", " ") for role, name in names.items()}


SPINES = "Hips Spine Spine1 Spine2 Neck Head"
FAMILIES = {
    "cgspeed": family(
        "Hips LowerBack Spine Spine1 Neck Head", "Shoulder Arm ForeArm Hand UpLeg Leg Foot", "{side}{name}",
        second_neck="Neck1",
    ),
    "mixamo": family(
        " ".join("mixamorig:" + n for n in SPINES.split()), "Shoulder Arm ForeArm Hand UpLeg Leg Foot",
        "mixamorig:{side}{name}",
    ),
    "biped": family(
        "Bip01 Bip01~Spine Bip01~Spine1 Bip01~Spine2 Bip01~Neck Bip01~Head",
        "Clavicle UpperArm Forearm Hand Thigh Calf Foot", "Bip01~{side}~{name}", sides="L R",
    ),
    "mvn": family("Hips Chest Chest2 Chest3 Neck Head", "Collar Shoulder Elbow Wrist Hip Knee Ankle", "{side}{name}"),
    "daz": family(
        "hip abdomen abdomen2 chest neck head", "Collar Shldr ForeArm Hand Thigh Shin Foot", "{side}{name}", sides="l r"
    ),
    "unreal": family(
        "pelvis spine_01 spine_02 spine_03 neck_01 head", "clavicle upperarm lowerarm hand thigh calf foot",
        "{name}_{side}", sides="l r",
    ),
    "blender": family(
        "hips spine chest upper_chest neck head", "shoulder upper_arm forearm hand thigh shin foot", "{name}.{side}",
        sides="L R",
    ),
    "vrm": family(
        "J_Bip_C_Hips J_Bip_C_Spine J_Bip_C_Chest J_Bip_C_UpperChest J_Bip_C_Neck J_Bip_C_Head",
        "Shoulder UpperArm LowerArm Hand UpperLeg LowerLeg Foot", "J_Bip_{side}_{name}", sides="L R",
    ),
    "smpl": family(
        "Pelvis Spine1 Spine2 Spine3 Neck Head", "Collar Shoulder Elbow Wrist Hip Knee Ankle", "{side}_{name}",
        sides="L R",
    ),
}  # fmt: skip


def bvh_text(
    names: dict[str, str], rows: np.ndarray | None = None, *, scale: float = 1.0, frame_time: str = "0.0333333"
) -> str:
    """A BVH of the figure with these names; roles without a name are left out; `rows` default to rest."""

    def parent(role: str) -> str:
        up = PARENT[role]
        while up != "-" and up not in names:
            up = PARENT[up]
        return up

    def node(role: str, depth: int) -> str:
        t, up = "  " * depth, parent(role)
        start = np.array(PLACES[role], float) - (np.array(PLACES[up], float) if up != "-" else 0)
        offset = " ".join(f"{v * scale:.6f}" for v in start)
        kind = "JOINT" if depth else "ROOT"
        channels = ("6 Xposition Yposition Zposition " if not depth else "3 ") + "Zrotation Xrotation Yrotation"
        text = f"{t}{kind} {names[role]}\n{t}{{\n{t}  OFFSET {offset}\n{t}  CHANNELS {channels}\n"
        children = [r for r in PARENT if r in names and parent(r) == role]
        text += "".join(node(r, depth + 1) for r in children)
        if not children:
            end = {"head": "top", "l_ankle": "l_toe", "r_ankle": "r_toe", "l_wrist": "l_hand", "r_wrist": "r_hand"}[
                role
            ]
            tip = " ".join(f"{v * scale:.6f}" for v in np.subtract(PLACES[end], PLACES[role]))
            text += f"{t}  End Site\n{t}  {{\n{t}    OFFSET {tip}\n{t}  }}\n"
        return text + f"{t}}}\n"

    if rows is None:
        rows = np.zeros((2, 3 + 3 * len(names)))
        rows[:, :3] = np.array(PLACES["root"]) * scale
    body = "\n".join(" ".join(f"{v:.6f}" for v in row) for row in rows)
    return f"HIERARCHY\n{node('root', 0)}MOTION\nFrames: {len(rows)}\nFrame Time: {frame_time}\n{body}\n"


def rest_joints(*, two_necks: bool) -> np.ndarray:
    """The 17 joints (17, 3) of the figure at rest, metres, z up."""
    at = {role: np.array(p, float) for role, p in PLACES.items()}
    nose = (at["neck2"] + at["head"]) / 2 if two_necks else at["neck"] + 0.75 * (at["head"] - at["neck"])
    at |= {
        "pelvis": (at["l_hip"] + at["r_hip"]) / 2,
        "spine": at["back"],
        "thorax": at["neck"],
        "nose": nose,
        "head_top": at["top"],
    }
    p = np.stack([at[j] for j in H36M.joints])
    return np.stack([p[:, 0], -p[:, 2], p[:, 1]], -1) / 100


@pytest.mark.parametrize("name", FAMILIES)
def test_names_in_common_use(tmp_path: Path, name: str) -> None:
    path = tmp_path / f"{name}.bvh"
    path.write_text(bvh_text(FAMILIES[name]))
    assert detect(path).name == "bvh"
    (m,) = read_motion(path)
    assert (m.skeleton, m.fps, len(m), m.name) == (H36M, 30.0, 2, name)
    assert m.meta == {"assumed_unit_m": 0.01}
    np.testing.assert_allclose(m.p_world[1], rest_joints(two_necks=name == "cgspeed"), atol=1e-6)


@pytest.mark.parametrize("unit", [1.0, 0.01, 0.001, 0.0254, 0.0254 / 0.45])
def test_units_by_the_length_of_the_legs(tmp_path: Path, unit: float) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(bvh_text(FAMILIES["mixamo"], scale=0.01 / unit))
    (m,) = read_motion(path)
    assert m.meta["assumed_unit_m"] == unit
    np.testing.assert_allclose(m.p_world[0], rest_joints(two_necks=False), atol=1e-5)
    stated = read_bvh(path, unit_m=2 * unit)
    np.testing.assert_allclose(stated.p_world, 2 * m.p_world, atol=1e-6)
    assert not stated.meta


def test_forward_kinematics_agrees_with_bvhio(tmp_path: Path) -> None:
    """Random turns of every joint, each axis to ±170°."""
    bvhio = pytest.importorskip("bvhio")
    names = FAMILIES["cgspeed"]
    rng = np.random.default_rng(3)
    rows = rng.uniform(-170, 170, (4, 3 + 3 * len(names)))
    path = tmp_path / "a.bvh"
    path.write_text(bvh_text(names, rows))
    bvh = parse_bvh(path)
    ours, root = forward(bvh), bvhio.readAsHierarchy(str(path))
    for t in range(4):
        root.loadPose(t)
        theirs = {joint.Name: joint.PositionWorld for joint, _, _ in root.layout()}
        for k, name in enumerate(bvh.names):
            if name in theirs:
                np.testing.assert_allclose(ours[t, k], list(theirs[name]), atol=2e-3, err_msg=name)  # bvhio is float32
    assert len(theirs) == len(names)


def test_position_channels_of_inner_joints_take_the_place_of_the_offset(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(
        "HIERARCHY\nROOT a\n{\nOFFSET 0 0 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
        "JOINT b\n{\nOFFSET 0 5 0\nCHANNELS 6 Xposition Yposition Zposition Zrotation Xrotation Yrotation\n"
        "End Site\n{\nOFFSET 0 1 0\n}\n}\n}\nMOTION\nFrames: 1\nFrame Time: 0.01\n1 2 3 90 0 0 0 7 0 0 90 0\n"
    )
    bvh = parse_bvh(path)
    assert bvh.names == ("a", "b", "b_end")
    np.testing.assert_allclose(forward(bvh)[0], [[1, 2, 3], [-6, 2, 3], [-6, 2, 4]], atol=1e-9)


@pytest.mark.parametrize(
    ("seconds", "fps"),
    [
        ("0.0333333", 30.0),
        (".0083333", 120.0),
        ("0.016667", 60.0),
        ("0.04", 25.0),
        ("0.0417", 24.0),
        ("0.0333667", 1 / 0.0333667),
        ("2", 0.5),
    ],
)
def test_frame_times_are_rounded_numbers(tmp_path: Path, seconds: str, fps: float) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(bvh_text(FAMILIES["mvn"], frame_time=seconds))
    assert parse_bvh(path).fps == pytest.approx(fps, rel=1e-9)
    assert read_motion(path, options=ReadOptions(fps=12.0))[0].fps == 12.0


def test_joints_that_are_not_there_are_listed(tmp_path: Path) -> None:
    names = {k: v for k, v in FAMILIES["mixamo"].items() if k not in ("l_wrist", "head")}
    names["l_elbow"] = "tentacle"
    text = bvh_text({**names, "l_wrist": "sucker", "head": "lamp"})
    path = tmp_path / "a.bvh"
    path.write_text(text)
    with pytest.raises(
        InputError,
        match="joints: expected nodes for nose, head_top, l_elbow, l_wrist, found only mixamorig:Hips, ",
    ):
        read_motion(path)


GOOD = bvh_text(FAMILIES["mvn"])
LINES = GOOD.splitlines()
MOTION = LINES.index("MOTION")


def cut(at: int) -> str:
    return "\n".join(LINES[:at])


def last_line_with(word: str) -> str:
    return "\n".join([*LINES[:-1], LINES[-1].replace("0.000000", word, 1)])


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "an empty file"),
        ("HIERARCHY", "line 1: expected ROOT, .*found the end of the file"),
        (cut(12), r"the end of the file \(truncated\)"),
        (cut(MOTION), r"the end of the file \(truncated\)"),
        (cut(MOTION + 1), r"expected Frames: N, found the end"),
        (cut(MOTION + 2), "expected Frame Time: SECONDS, found the end"),
        (cut(MOTION + 4), f"line {MOTION + 2}: Frames: expected 2 lines of motion, found 1"),
        (cut(MOTION + 4) + "\n" + LINES[-1][:60], "line .*: expected 63 numbers, one per channel, found"),
        (GOOD.replace("Frames: 2", "Frames: 1000000000"), "expected 1000000000 lines of motion, found 2"),
        (GOOD.replace("Frames: 2", "Frames: 0"), "expected some lines of motion, found 2"),
        (GOOD.replace("Frames: 2", "Frames: -2"), "expected Frames: N"),
        (GOOD.replace("Frames: 2", "Frames: " + "9" * 5000), "expected Frames: N"),
        (GOOD.replace("Frame Time: 0.0333333", "Frame Time: 0"), "a frame time between"),
        (GOOD.replace("Frame Time: 0.0333333", "Frame Time: nan"), "Frame Time: 1 finite numbers"),
        (GOOD.replace("0.000000\n", "nan\n", 100)[: -len("nan\n")] + "nan\n", "finite numbers"),
        (last_line_with("NaN"), f"line {len(LINES)}: expected motion: 63 finite numbers"),
        (last_line_with("x"), f"line {len(LINES)}: expected motion: 63 finite numbers"),
        (GOOD.replace("CHANNELS 3 Z", "CHANNELS 4 Z", 1), "CHANNELS n and n distinct names"),
        (GOOD.replace("Xrotation Y", "Zrotation Y", 1), "CHANNELS n and n distinct names"),
        (GOOD.replace("MOTION", "}\nMOTION"), "expected ROOT, JOINT, End Site, } or MOTION, found }"),
        (GOOD.replace("}\nMOTION", "MOTION"), "a closed hierarchy before MOTION, found 1 open"),
        (GOOD.replace("OFFSET 0.000000 10.000000", "OFFSET 0.000000"), "OFFSET: 3 finite numbers"),
    ],
)  # fmt: skip
def test_damaged(tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "a.bvh"
    path.write_text(text)
    with pytest.raises(InputError, match=says) as caught:
        read_motion(path, format="bvh")
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_no_depth_of_nesting_hurts(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    node = "{\nOFFSET 0 1 0\nCHANNELS 1 Xrotation\nJOINT a\n"
    path.write_text("HIERARCHY\nROOT a\n" + node * 100_000)
    with pytest.raises(InputError, match="at most 4096 joints"):
        read_motion(path)


def test_other_files_are_not_taken_for_bvh(tmp_path: Path) -> None:
    path = tmp_path / "a.bvh"
    path.write_text("[1, 2]")
    with pytest.raises(InputError, match="line 1: expected HIERARCHY, found"):
        read_motion(path, format="bvh")
