"""The written page in a real browser, without network: it draws, plays, and keeps 2D and 3D in step."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from poselift.view.page import write_page
from view import scenes
from view.browser import CHROMIUM, Page, chromium

pytest.importorskip("viser")
pytestmark = [pytest.mark.browser, pytest.mark.skipif(CHROMIUM is None, reason="no Chromium here")]

INNER = 'document.getElementById("scene").contentDocument'
SLIDER = f"parseFloat({INNER}.querySelector('[role=slider]').getAttribute('aria-valuenow'))"
COLOURED = """(() => {
    const c = document.getElementById("image"), d = c.getContext("2d").getImageData(0, 0, c.width, c.height).data;
    let n = 0, x = 0;
    for (let i = 0; i < d.length; i += 4) {
        const rgb = d.slice(i, i + 3);
        if (Math.max(...rgb) - Math.min(...rgb) > 50) { n++; x += (i / 4) % c.width; }
    }
    return [n, x / n / c.width];
})()"""


DISMISS = """(() => {
    const scene = document.getElementById("scene"), inside = scene.contentDocument || document;
    inside.querySelectorAll('[class*="mantine-Notification"] button').forEach(b => b.click());
})()"""
"""The viewer's notice that there is no GPU stands before a figure."""


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Page]:
    path = tmp_path_factory.mktemp("page") / "index.html"
    clips = [scenes.clip(60), scenes.hide(scenes.clip(60, track_id=1, start=(1.2, 0.0)), 30, 60)]
    clips[0] = scenes.hide(clips[0], 50, 60)
    write_page(clips, path, title="a page")
    with chromium((900, 460)) as page:
        page.open(path)
        page.wait("window.poselift && poselift.synced()")
        yield page


def go(page: Page, frame: int) -> None:
    page.ask(f"poselift.seek({frame} / 30 + 0.004)")
    page.wait(f"poselift.frame() === {frame}")


def test_it_plays_by_itself_and_2d_follows(page):
    page.wait("poselift.frame() > 0")
    page.wait("document.getElementById('clock').textContent.startsWith('frame')")


@pytest.mark.parametrize("frame", [45, 3, 20])
def test_one_time_for_both_halves(page, frame):
    go(page, frame)
    assert page.ask(SLIDER) == pytest.approx(frame / 30 + 0.004, abs=1e-3)


def test_the_image_shows_who_is_seen(page):
    go(page, 10)
    both, x_both = page.ask(COLOURED)
    go(page, 40)
    one, x_one = page.ask(COLOURED)
    go(page, 55)
    nobody, _ = page.ask(COLOURED)
    assert both > 1.4 * one > 100
    assert nobody == 0
    assert x_both > x_one + 0.02  # the second person stands on the right
    assert page.ask("document.querySelectorAll('#legend .absent').length") == 2


def test_arrow_keys_step(page):
    go(page, 12)
    for key, frame in (("ArrowRight", 13), ("ArrowRight", 14), ("ArrowLeft", 13)):
        page.call("Input.dispatchKeyEvent", type="keyDown", key=key, code=key)
        page.wait(f"poselift.frame() === {frame}")


def test_the_3d_scene_is_drawn(page, tmp_path):
    from matplotlib.image import imread

    go(page, 10)
    box = page.ask("(() => { const r = document.getElementById('scene').getBoundingClientRect();"
                   "return [r.left, r.top, r.right, r.bottom].map(Math.round); })()")  # fmt: skip
    for _ in range(20):  # the picture follows a moment after the clock
        page.ask(DISMISS)
        page.screenshot(tmp_path / "shot.png")
        image = imread(tmp_path / "shot.png")[box[1] : box[3] - 60, box[0] : box[2], :3]
        blue = ((image[..., 2] > image[..., 0] + 0.25) & (image[..., 2] > 0.3)).sum()
        brown = ((image[..., 0] > image[..., 2] + 0.25) & (image[..., 0] > 0.3)).sum()
        if blue > 300 and brown > 300:
            return
        page.ask("new Promise(done => setTimeout(done, 200))")
    raise AssertionError(f"{blue} blue and {brown} brown pixels of two figures")


def test_nothing_leaves_the_page(page):
    assert [u for u in page.requests if not re.match(r"(file|data|blob|about):", u)] == []
    assert page.console == []


def test_without_the_3d_scene_the_page_keeps_its_own_time(tmp_path: Path):
    path = tmp_path / "p.html"
    write_page([scenes.clip(60)], path)
    text = path.read_text(encoding="utf-8")
    path.write_text(re.sub(r'(id="recording">).*?(</script>)', r'\1"<p>none</p>"\2', text, flags=re.DOTALL), "utf-8")
    with chromium((800, 600)) as page:
        page.open(path)
        page.wait("poselift.frame() > 2")
        assert not page.ask("poselift.synced()")
        assert page.ask("document.getElementById('play').hidden") is False
        page.ask("document.getElementById('play').click()")
        go(page, 30)
        page.ask("new Promise(done => setTimeout(done, 300))")
        assert page.ask("poselift.frame()") == 30
