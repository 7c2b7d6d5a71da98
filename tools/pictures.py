"""Make the pictures of the README from what `make demo` wrote: contact sheet and page (needs Chromium).

python tools/pictures.py out/demo docs/images
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from view.browser import chromium

NOTICE = 'document.getElementById("scene").contentDocument.querySelector(".mantine-Notification-closeButton")'


def main(source: Path, target: Path, frame: int = 116) -> None:
    target.mkdir(parents=True, exist_ok=True)
    sheet = Image.open(source / "contact_sheet.png").convert("RGB")
    sheet.quantize(96).save(target / "demo_sheet.png", optimize=True)
    if (source / "photo").is_dir():  # left out where the detector could not be had
        photograph(source / "photo").quantize(128).save(target / "demo_photo.png", optimize=True)
    with chromium((1280, 760)) as page:
        page.open((source / "index.html").resolve())
        page.wait("window.poselift&&poselift.synced()")
        page.wait(f"!!{NOTICE}")  # said where there is no graphics card
        page.ask(f"{NOTICE}.click()")
        page.ask(f"poselift.seek({frame}/50+.005)")
        page.wait(f"poselift.frame()=={frame}")
        time.sleep(3)
        page.screenshot(target / "demo_page.png")


def photograph(folder: Path, side: int = 384) -> Image.Image:
    """The picture with what the detector saw, and beside it the lifted pose from two sides."""
    seen = Image.open(folder / "overlay.png").convert("RGB").resize((side, side))
    sheet = Image.open(folder / "contact_sheet.png").convert("RGB")
    lifted = sheet.crop((0, round(0.368 * sheet.height), sheet.width, sheet.height))
    lifted = lifted.resize((round(lifted.width * side / lifted.height), side))
    both = Image.new("RGB", (side + lifted.width, side))
    both.paste(seen, (0, 0))
    both.paste(lifted, (side, 0))
    return both


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
