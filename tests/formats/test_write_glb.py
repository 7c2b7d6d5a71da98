"""GLB: opened by pygltflib and trimesh, animated and skinned here by the book, and compared with the poses it holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from motion_fixtures import lifted_clip
from poselift.errors import InputError
from poselift.formats import WRITERS
from poselift.formats.bvh import BVH_NAMES
from poselift.formats.rig import bone_lengths, constant_bones
from poselift.formats.upright import upright
from poselift.structures import Clip, skeleton

H36M = skeleton("h36m17")
_COLUMNS = {"SCALAR": 1, "VEC3": 3, "VEC4": 4, "MAT4": 16}


class Reader:
    """A glTF file as the specification reads it, over pygltflib's document."""

    def __init__(self, path: Path) -> None:
        pygltflib = pytest.importorskip("pygltflib")
        self.g: Any = pygltflib.GLTF2().load(str(path))
        self.blob = self.g.binary_blob()

    def values(self, accessor: int) -> np.ndarray:
        a = self.g.accessors[accessor]
        view = self.g.bufferViews[a.bufferView]
        assert view.byteOffset % 4 == 0
        dtype, n = np.dtype({5126: "<f4", 5121: "u1"}[a.componentType]), _COLUMNS[a.type]
        assert view.byteLength == a.count * n * dtype.itemsize
        out = np.frombuffer(self.blob, dtype, a.count * n, view.byteOffset).reshape(a.count, n)
        if a.min:
            np.testing.assert_array_equal(out.min(0), np.float32(a.min))
            np.testing.assert_array_equal(out.max(0), np.float32(a.max))
        return out

    def matrices(self, time: float) -> dict[int, np.ndarray]:
        """World matrix of every node at a time, keys interpolated as players do."""
        moved: dict[tuple[int, str], np.ndarray] = {}
        (animation,) = self.g.animations
        for channel in animation.channels:
            sampler = animation.samplers[channel.sampler]
            at, values = self.values(sampler.input)[:, 0], self.values(sampler.output).astype(float)
            k = int(np.clip(np.searchsorted(at, time, side="right") - 1, 0, max(len(at) - 2, 0)))
            following = min(k + 1, len(at) - 1)
            w = np.clip((time - at[k]) / max(at[following] - at[k], 1e-9), 0, 1)
            moved[channel.target.node, channel.target.path] = values[k] * (1 - w) + values[following] * w
        parents = {c: i for i, node in enumerate(self.g.nodes) for c in node.children or []}
        out: dict[int, np.ndarray] = {}

        def world(i: int) -> np.ndarray:
            if i not in out:
                node, m = self.g.nodes[i], np.eye(4)
                turn = moved.get((i, "rotation"), np.array(node.rotation or (0, 0, 0, 1.0)))
                m[:3, :3] = Rotation.from_quat(turn).as_matrix()
                m[:3, 3] = moved.get((i, "translation"), np.array(node.translation or (0, 0, 0.0)))
                out[i] = world(parents[i]) @ m if i in parents else m
            return out[i]

        for i in range(len(self.g.nodes)):
            world(i)
        return out

    def joints(self, person: int, time: float) -> dict[str, np.ndarray]:
        world, skin = self.matrices(time), self.g.skins[person]
        return {self.g.nodes[i].name: world[i][:3, 3] for i in skin.joints}

    def vertices(self, person: int, time: float) -> np.ndarray:
        """Corners of the person's mesh, skinned."""
        world, skin = self.matrices(time), self.g.skins[person]
        node = next(n for n in self.g.nodes if n.skin == person)
        (primitive,) = self.g.meshes[node.mesh].primitives
        p = self.values(primitive.attributes.POSITION)
        bound = self.values(primitive.attributes.JOINTS_0)[:, 0]
        weights = self.values(primitive.attributes.WEIGHTS_0)
        np.testing.assert_array_equal(weights[:, 0], 1)
        inverse = self.values(skin.inverseBindMatrices).reshape(-1, 4, 4).transpose(0, 2, 1)
        m = np.array([world[i] for i in skin.joints]) @ inverse
        return np.einsum("nij,nj->ni", m[bound], np.column_stack([p, np.ones(len(p))]))[:, :3]


def meant(clip: Clip) -> np.ndarray:
    """The pose with constant bones in y-up axes."""
    assert clip.p_root is not None
    axes = upright(clip.camera, "y", absolute=clip.root_cam is not None)
    p = axes.turned(constant_bones(clip.p_root, bone_lengths(clip), H36M))
    return p + (axes.p(clip) - axes.turned(clip.p_root))[:, :1]


def two() -> list[Clip]:
    """The second person comes later, and is not seen for some frames."""
    second = lifted_clip(1, track_id=7)[20:]
    conf = second.confidence.copy()
    conf[5:9] = 0
    return [lifted_clip(), second.replace(conf=conf, frames=second.frame_numbers + 30)]


def test_joints_are_where_they_are_meant_at_true_times(tmp_path: Path) -> None:
    clips = two()
    (path,) = WRITERS["glb"].write(clips, tmp_path / "poses.glb")
    read = Reader(path)
    for person, clip in enumerate(clips):
        want = meant(clip)
        for k in (0, 3, 17, len(clip) - 1):
            at = read.joints(person, clip.frame_numbers[k] / clip.fps)
            for joint, name in BVH_NAMES.items():
                if joint != "head_top":
                    np.testing.assert_allclose(at[name], want[k, H36M.index(joint)], atol=3e-5, err_msg=name)
    # Nobody seen in frames 5 to 8 of the second: no keys there, and players lead from 4 to 9.
    times = read.values(read.g.animations[0].samplers[-1].input)[:, 0]
    seen = clips[1].frame_numbers[clips[1].seen]
    np.testing.assert_allclose(times, seen / 120, rtol=1e-6)
    want = meant(clips[1])
    middle = read.joints(1, (clips[1].frame_numbers[4] + 2.5) / 120)["Hips"]
    np.testing.assert_allclose(middle, (want[4, 0] + want[9, 0]) / 2, atol=1e-5)


def test_the_mesh_follows_the_bones(tmp_path: Path) -> None:
    """Every bone's octahedron begins and ends at its joints, and points outward."""
    clips = two()
    (path,) = WRITERS["glb"].write(clips, tmp_path / "poses.glb")
    read = Reader(path)
    for person, clip in enumerate(clips):
        want = meant(clip)
        for k in (0, 30):
            p = read.vertices(person, clip.frame_numbers[k] / clip.fps).reshape(-1, 8, 3, 3)
            ends = {(tuple(np.round(b[0, 0], 3)), tuple(np.round(b[1, 0], 3))) for b in p}
            assert len(ends) == len(p) == 16
            for child, parent in H36M.bones:
                gaps = [np.abs(np.array(e) - want[k, [parent, child]]).max() for e in ends]
                assert min(gaps) < 1.1e-3, H36M.joints[child]
            middle = p.reshape(len(p), -1, 3).mean(1)
            normal = np.cross(p[:, :, 1] - p[:, :, 0], p[:, :, 2] - p[:, :, 0])
            assert (np.sum(normal * (p.mean(2) - middle[:, None]), -1) > 0).all()


def test_the_file_is_valid_and_states_what_it_is(tmp_path: Path) -> None:
    pytest.importorskip("pygltflib")
    from pygltflib.validator import validate

    (path,) = WRITERS["glb"].write(two(), tmp_path / "poses.glb")
    read = Reader(path)
    validate(read.g)
    assert read.g.asset.version == "2.0"
    extras = read.g.asset.extras
    assert (extras["units"], extras["fps"], extras["skeleton"]) == ("metres, seconds", 120.0, "h36m17")
    assert "y up" in extras["axes"]
    names = [n.name for n in read.g.nodes]
    assert [n for n in names if n.startswith("track")] == ["track0", "track0_bones", "track7", "track7_bones"]
    roots = set(read.g.scenes[0].nodes)
    children = [c for n in read.g.nodes for c in n.children or []]
    assert sorted([*roots, *children]) == list(range(len(names))), "each node once, and every mesh with a skin a root"
    for accessor in range(len(read.g.accessors)):
        assert np.isfinite(read.values(accessor)).all()
    for channel in read.g.animations[0].channels:
        sampler = read.g.animations[0].samplers[channel.sampler]
        q = read.values(sampler.output)
        assert len(q) == read.g.accessors[sampler.input].count
        if channel.target.path == "rotation":
            np.testing.assert_allclose(np.linalg.norm(q, axis=-1), 1, atol=1e-6)
            assert (np.sum(q[1:] * q[:-1], -1) > 0).all(), "no long way round between two keys"


def test_trimesh_opens_it_upright(tmp_path: Path) -> None:
    trimesh = pytest.importorskip("trimesh")
    (path,) = WRITERS["glb"].write([lifted_clip()], tmp_path / "poses.glb")
    scene = trimesh.load(path)
    (mesh,) = scene.geometry.values()
    assert len(mesh.faces) == 16 * 8
    assert mesh.extents[1] == pytest.approx(1.6, abs=0.2)  # at rest: legs down, arms out
    assert mesh.extents[0] > 1.2


def test_one_frame_nobody_seen_and_no_root(tmp_path: Path) -> None:
    clip = lifted_clip()
    for k, odd in enumerate((clip[:1], clip.replace(conf=np.zeros((60, 17))), clip.replace(root_cam=None))):
        (path,) = WRITERS["glb"].write([odd], tmp_path / f"{k}.glb")
        at = Reader(path).joints(0, 0.0)
        np.testing.assert_allclose(at["LeftLeg"], meant(odd)[0, H36M.index("l_knee")], atol=3e-5)
    np.testing.assert_allclose(at["Hips"], 0, atol=1e-6)


def test_refused(tmp_path: Path) -> None:
    clip = lifted_clip()
    coco = Clip(skeleton=skeleton("coco17"), fps=30.0, kp_img=np.ones((3, 17, 2)), p_root=np.zeros((3, 17, 3)))
    for clips, says in (
        ([clip.replace(p_root=None, root_cam=None)], "track 0: expected lifted poses"),
        ([coco], "expected h36m17, of which GLB is made, found coco17"),
        ([clip.replace(frames=clip.frame_numbers - 3)], "expected frame numbers from 0"),
        ([clip.replace(frames=clip.frame_numbers + 10**9)], "expected frame numbers from 0"),
    ):
        with pytest.raises(InputError, match=says):
            WRITERS["glb"].write(clips, tmp_path / "a.glb")
    assert not list(tmp_path.iterdir())
