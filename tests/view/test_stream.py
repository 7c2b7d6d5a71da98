"""The live page: what it sends, to whom, and how it ends; and, where there is a browser, that it draws and turns."""

from __future__ import annotations

import base64
import io
import json
import socket
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from poselift.errors import OutputError
from poselift.view import stream
from poselift.view.stream import LivePage
from video_files import red_corner
from view import scenes
from view.browser import CHROMIUM, chromium

FACTS = {"seconds": 1.0, "behind_ms": 40.0, "rate": 20.0, "tan": 0.5}
IMAGE = red_corner(3, 1280, 720)


@pytest.fixture
def page() -> Iterator[LivePage]:
    page = LivePage(title="a < b", notes=["What & why."], port=18_080)
    yield page
    if not page.over:
        page.close()


def events(page: LivePage, count: int) -> list[dict]:
    out = []
    with urllib.request.urlopen(page.url + "/events", timeout=10) as answer:
        while len(out) < count:
            line = answer.readline().decode()
            if line.startswith("data: "):
                out.append(json.loads(line[6:]))
    return out


def test_a_browser_gets_the_newest_state(page: LivePage):
    clip = scenes.clip(30)
    for i in range(3):
        page.show(IMAGE, [clip[i : i + 1]], {**FACTS, "seconds": float(i)})
    (news,) = events(page, 1)
    assert news["seconds"] == 2.0
    assert news["size"] == [1280, 720]
    picture = Image.open(io.BytesIO(base64.b64decode(news["picture"])))
    assert picture.size == (640, 360)
    assert np.asarray(picture)[20, 20] == pytest.approx([255, 0, 0], abs=12)
    (person,) = news["people"]
    assert np.array(person["kp"]) == pytest.approx(clip.kp_img[2], abs=0.06)
    p = clip.p_cam
    assert p is not None
    assert np.array(person["p"]) == pytest.approx(np.stack([p[2, :, 0], p[2, :, 2], -p[2, :, 1]], -1), abs=1e-3)
    assert news["ground"] == pytest.approx(min(q[2] for q in person["p"]) - 0.08, abs=0.1)


def test_people_without_a_pose_yet_and_nobody(page: LivePage):
    page.show(IMAGE, [scenes.clip(3)[:1].replace(p_root=None)], FACTS)
    assert events(page, 1)[0]["people"][0]["p"] is None
    page.show(IMAGE, [], FACTS)
    assert events(page, 1)[0]["people"] == []


def test_only_this_machine_under_its_own_name(page: LivePage):
    with urllib.request.urlopen(page.url, timeout=10) as answer:
        text = answer.read().decode()
    assert "a &lt; b" in text
    assert "What &amp; why." in text
    assert "@@" not in text
    assert page._server.server_address[0] == "127.0.0.1"
    plain = urllib.request.Request(page.url, headers={"Host": "127.0.0.1"})  # as browsers ask on port 80
    with urllib.request.urlopen(plain, timeout=10) as answer:
        assert answer.status == 200
    for path in ("/", "/events"):
        for name in ("evil.example", "evil.example:127", "127.0.0.1.evil.example:80", ""):
            other = urllib.request.Request(page.url + path, headers={"Host": name})
            with pytest.raises(urllib.error.HTTPError, match="403"):
                urllib.request.urlopen(other, timeout=10)
    with pytest.raises(urllib.error.HTTPError, match="404"):
        urllib.request.urlopen(page.url + "/etc/passwd", timeout=10)


def test_it_says_that_it_is_over_and_leaves_no_thread(page: LivePage):
    threads = threading.active_count()
    page.show(IMAGE, [], FACTS)
    with urllib.request.urlopen(page.url + "/events", timeout=10) as answer:
        answer.readline()
        page.close("ended: no more frames")
        assert b'event: over\ndata: "ended: no more frames"' in answer.read()
    assert threading.active_count() < threads
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(page.url, timeout=2)


def test_who_asks_nothing_is_left(page: LivePage, monkeypatch: pytest.MonkeyPatch):
    assert stream._Handler.timeout is not None
    monkeypatch.setattr(stream._Handler, "timeout", 0.2)
    with socket.create_connection(("127.0.0.1", int(page.url.rpartition(":")[2])), timeout=10) as idle:
        assert idle.recv(1) == b"", "the page ends the connection"


def test_ports(page: LivePage):
    port = int(page.url.rpartition(":")[2])
    other = LivePage(title="other", port=port)
    assert int(other.url.rpartition(":")[2]) > port
    other.close()
    with pytest.raises(OutputError, match="0 to 65535"):
        LivePage(title="other", port=70_000)


COLOURED = """(() => {
    const c = document.getElementById("%s"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    let n = 0, x = 0;
    for (let i = 0; i < d.length; i += 4)
        if (d[i + 2] - d[i] > 60) { n++; x += (i / 4) %% c.width; }  // blue: the left side of one alone
    return [n, x / n / c.width];
})()"""


INKS = """((id, inks) => {
    const c = document.getElementById(id), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    return inks.map(ink => {
        const want = [1, 3, 5].map(k => parseInt(ink.slice(k, k + 2), 16));
        let n = 0, x = 0;
        for (let i = 0; i < d.length; i += 4)
            if (want.every((v, k) => Math.abs(d[i + k] - v) < 14)) { n++; x += (i / 4) % c.width; }
        return [n, x / n / c.width];
    });
})"""


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_two_people_are_there(page: LivePage):
    """Both in the picture and in the scene, each in colours of their own, left and right of each other."""
    left, right = scenes.clip(30, start=(-2.4, 0.0)), scenes.clip(30, track_id=1, start=(2.4, 0.0))
    for i in range(12):
        page.show(IMAGE, [left[i : i + 1], right[i : i + 1]], FACTS)
    with chromium((1000, 700)) as browser:
        for domain in ("Network", "Runtime", "Page"):
            browser.call(f"{domain}.enable")
        browser.call("Page.navigate", url=page.url)
        browser.wait("document.readyState === 'complete' && state !== null && state.people.length === 2")
        assert "2 people" in browser.ask("document.getElementById('status').textContent")
        rows = browser.ask("[...document.querySelectorAll('#legend li')].map(r => r.textContent)")
        assert [r[:8] for r in rows] == ["person 0", "person 1"]
        for canvas, field in (("image", "bright"), ("space", "colours")):
            inks = browser.ask(f"state.people.map(p => p.{field}[0])")
            assert inks[0] != inks[1]
            browser.ask("view.yaw = 0; draw()")
            (n, x), (m, y) = browser.ask(f"{INKS}('{canvas}', {json.dumps(inks)})")
            assert min(n, m) > 30, canvas
            assert (x < y) == (left.kp_img[11, 0, 0] < right.kp_img[11, 0, 0]), canvas
            assert 0.05 < min(x, y) < 0.45 < 0.55 < max(x, y) < 0.95, canvas
        assert browser.console == []


@pytest.mark.browser
@pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")
def test_a_browser_draws_and_turns(page: LivePage):
    page.show(IMAGE, [scenes.clip(30)[:1]], FACTS)
    with chromium((1000, 700)) as browser:
        for domain in ("Network", "Runtime", "Page"):
            browser.call(f"{domain}.enable")
        browser.call("Page.navigate", url=page.url)
        browser.wait("document.readyState === 'complete' && state !== null")
        assert "1 person" in browser.ask("document.getElementById('status').textContent")
        assert browser.ask(COLOURED % "image")[0] > 50
        many, where = browser.ask(COLOURED % "space")
        assert many > 200
        for kind, x, buttons in (("mousePressed", 300, 1), ("mouseMoved", 500, 1), ("mouseReleased", 500, 0)):
            browser.call(
                "Input.dispatchMouseEvent", type=kind, x=x, y=300, button="left", buttons=buttons, clickCount=1
            )
        browser.wait("Math.abs(view.yaw - START.yaw) > 0.5")
        assert abs(browser.ask(COLOURED % "space")[1] - where) > 0.01
        page.close("ended: unplugged")
        browser.wait("document.getElementById('status').textContent === 'ended: unplugged'")
        assert browser.console == []
        assert all(r.startswith((page.url, "data:")) for r in browser.requests)
