from __future__ import annotations

import base64
import re
import subprocess
import sys

import numpy as np
import pytest

from poselift.errors import InputError, MissingExtraError, OutputError
from poselift.view.page import write_page
from poselift.view.stage import Stage
from view import scenes
from view.recording import Recording, block

pytest.importorskip("viser")


def test_the_scene_holds_the_joints_of_every_frame(tmp_path):
    c = scenes.clip(30, posed=True)
    report = write_page([c], tmp_path / "index.html")
    scene = Recording(tmp_path / "index.html")
    assert (report.frames, report.total, report.stride) == (30, 30, 1)
    assert report.size == (tmp_path / "index.html").stat().st_size
    assert scene.duration == pytest.approx(1.0)
    for k in (0, 11, 29):
        joints = scene.state(k / 30 + 1e-3)["/people/0_track_0/joints"]
        assert joints["visible"]
        np.testing.assert_allclose(joints["batched_positions"].reshape(17, 3), scenes.walker(30).p_world[k], atol=4e-4)
    first = scene.state(0.0)
    assert {"/ground", "/camera"} <= first.keys()
    assert first["/camera"]["aspect"] == pytest.approx(1280 / 720)


def test_bones_follow_the_joints(tmp_path):
    c = scenes.clip(5, posed=True)
    write_page([c], tmp_path / "p.html")
    bones = Recording(tmp_path / "p.html").state(0.1 + 1e-3)["/people/0_track_0/bones"]
    p, (child, parent) = scenes.walker(5).p_world[3], np.array(scenes.H36M.bones).T
    np.testing.assert_allclose(bones["batched_positions"].reshape(-1, 3), p[parent], atol=4e-4)
    length = np.linalg.norm(p[child] - p[parent], axis=1)
    np.testing.assert_allclose(bones["batched_scales"].reshape(-1, 3)[:, 2], length, atol=4e-4)


def test_unseen_people_are_hidden_and_come_back(tmp_path):
    clips = [scenes.hide(scenes.clip(20, track_id=3), 5, 10), scenes.hide(scenes.clip(20, track_id=8), 0, 12)]
    write_page(clips, tmp_path / "p.html")
    scene = Recording(tmp_path / "p.html")

    def visible(k: int) -> list[bool]:
        nodes = scene.state(k / 30 + 1e-3)
        return [
            nodes[f"/people/{n}/{part}"]["visible"] for n in ("0_track_3", "1_track_8") for part in ("joints", "bones")
        ]

    assert visible(4) == [True, True, False, False]
    assert visible(7) == [False] * 4
    assert visible(11) == [True, True, False, False]
    assert visible(12) == [True] * 4


def test_the_2d_input_is_in_the_page(tmp_path):
    c = scenes.hide(scenes.clip(12), 4, 6)
    conf = c.confidence.copy()
    conf[0, 3] = 0
    conf[1] *= 0.5
    c = c.replace(conf=conf)
    write_page([c], tmp_path / "p.html")
    data = block((tmp_path / "p.html").read_text(encoding="utf-8"), "data")
    track = data["tracks"][0]
    xy = np.frombuffer(base64.b64decode(track["xy"]), "<i2").reshape(12, 17, 2) / data["scale"]
    seen = np.frombuffer(base64.b64decode(track["conf"]), "u1").reshape(12, 17)
    there = c.confidence > 0
    np.testing.assert_allclose(xy[there], c.kp_img[there], atol=0.04)
    np.testing.assert_array_equal(seen > 0, there)
    assert abs(int(seen[1, 0]) - 128) <= 1
    assert data["size"] == [1280, 720]
    assert track["sides"] == "-rrrlll----lllrrr"


def test_truth_is_a_grey_ghost_without_shadow(tmp_path):
    c = scenes.clip(6)
    write_page([c], tmp_path / "p.html", truth=[c.replace(root_cam=np.asarray(c.root_cam) + np.float32(0.5))])
    nodes = Recording(tmp_path / "p.html").state(0.01)
    ghost, figure = nodes["/truth/0/joints"], nodes["/people/0_track_0/joints"]
    assert not ghost["cast_shadow"]
    assert np.ptp(ghost["batched_colors"].reshape(-1, 3).astype(int), axis=1).max() < 30
    apart = ghost["batched_positions"] - figure["batched_positions"]
    np.testing.assert_allclose(np.linalg.norm(apart.reshape(-1, 3), axis=1), 0.75**0.5, atol=2e-3)
    assert "true motion" in (tmp_path / "p.html").read_text(encoding="utf-8")


def test_words_of_others_stay_words(tmp_path):
    evil = "</script><script>alert(1)</script>@@JS@@"
    write_page([scenes.clip(2)], tmp_path / "p.html", title=evil, notes=[evil, "focal & fov"])
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert "alert(1)</script>" not in page
    assert page.count("&lt;/script&gt;&lt;script&gt;alert(1)&lt;/script&gt;@@JS@@") == 3
    assert "focal &amp; fov" in page
    assert len(re.findall(r"<script", page)) == 3
    assert block(page, "data")
    assert block(page, "recording")


def test_nothing_is_fetched_from_elsewhere(tmp_path):
    write_page([scenes.clip(2)], tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    inner = block(page, "recording")
    for text in (re.sub(r'"recording">.*?</script>', "", page, flags=re.DOTALL), inner):
        assert not re.search(r"""(src|href)\s*=\s*["']?(https?:)?//""", text)
        assert not re.search(r"@import|url\(\s*['\"]?http", text)


def test_notes_say_what_the_numbers_mean(tmp_path):
    c = scenes.clip(90)
    write_page([c.replace(meta={"assumed_focal": True, "assumed_fps": True})], tmp_path / "p.html")
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    for words in ("metres", "x right, y down, z forward", "minus the pelvis", "1100 px for 1280 × 720 px",
                  "assumed, not measured", "30 per second is assumed", "up is judged by the ground"):  # fmt: skip
        assert words in page, words
    write_page([c.replace(root_cam=None)], tmp_path / "q.html")
    assert "no absolute root" in (tmp_path / "q.html").read_text(encoding="utf-8")


def test_a_long_clip_is_thinned_and_says_so(tmp_path):
    c = scenes.clip(4000, speed=0.0)
    noise = np.random.default_rng(0).normal(size=(4000, 17, 3)).astype(np.float32) * 0.05
    c = c.replace(p_root=np.asarray(c.p_root) + noise)
    report = write_page([c], tmp_path / "p.html", max_megabytes=2.1)
    page = (tmp_path / "p.html").read_text(encoding="utf-8")
    assert report.size <= 2.1e6
    assert report.stride > 1
    assert report.frames > 700
    assert f"this page shows every {report.stride}" in page
    assert "all 4000 frames" in page
    assert Recording(tmp_path / "p.html").duration == pytest.approx(report.frames * report.stride / 30, rel=0.01)


@pytest.mark.parametrize("frames", [1, 2])
def test_the_shortest_clips(tmp_path, frames):
    write_page([scenes.clip(frames)], tmp_path / "p.html")
    scene = Recording(tmp_path / "p.html")
    assert scene.duration == pytest.approx(frames / 30 if frames > 1 else 0)
    assert scene.state(0)["/people/0_track_0/joints"]["visible"]


def test_other_skeletons_no_camera_and_nobody_seen(tmp_path):
    from poselift.structures import Clip, skeleton

    s = skeleton("halpe26")
    p = np.random.default_rng(0).normal(size=(4, 26, 3))
    kp = np.random.default_rng(1).uniform(0, 500, size=(4, 26, 2))
    write_page([Clip(skeleton=s, fps=25.0, kp_img=kp, p_root=p)], tmp_path / "p.html")
    nodes = Recording(tmp_path / "p.html").state(0)
    assert "/camera" not in nodes
    assert len(nodes["/people/0_track_0/joints"]["batched_positions"]) == 26 * 3
    write_page([scenes.hide(scenes.clip(5), 0, 5)], tmp_path / "q.html")
    assert not Recording(tmp_path / "q.html").state(0)["/people/0_track_0/joints"]["visible"]


def test_refusals_leave_nothing_behind(tmp_path, monkeypatch):
    c = scenes.clip(3)
    with pytest.raises(InputError, match="3D joints"):
        write_page([c.replace(p_root=None)], tmp_path / "p.html")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(OutputError, match="folder"):
        write_page([c], tmp_path / "folder.html")
    monkeypatch.setitem(sys.modules, "viser", None)
    with pytest.raises(MissingExtraError, match=r"poselift\[view\]"):
        write_page([c], tmp_path / "p.html")
    assert [p.name for p in tmp_path.iterdir()] == ["folder.html"]


def test_nothing_is_printed(tmp_path, capfd):
    write_page([scenes.clip(2)], tmp_path / "p.html")
    assert capfd.readouterr() == ("", "")


def test_a_page_needs_no_torch():
    code = "import sys, poselift.view.page, poselift.view.sheet, poselift.view.live, poselift.view.plots\n"
    code += "assert not {'torch', 'viser', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, env={"PYTHONPATH": "src"}, timeout=60)


def test_truth_of_another_time_does_not_stretch_the_page(tmp_path):
    c = scenes.clip(10)
    report = write_page([c], tmp_path / "p.html", truth=[scenes.clip(50)])
    assert report.total == 10
    assert Stage.of([c]).figures[0].shape == (10, 17, 3)
