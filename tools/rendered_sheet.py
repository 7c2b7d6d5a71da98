"""Make the contact sheet of docs/rendered.md.

python tools/rendered_sheet.py docs/images/rendered.png
"""

from __future__ import annotations

import argparse

import numpy as np
import torch
from PIL import Image, ImageDraw

from poselift.data.rendered import Frames, RenderOptions, rendered_source

HUES = ((43, 125, 233), (240, 116, 43), (60, 200, 120), (214, 79, 224))
COLUMNS, CROP = 8, 128
SIDE = COLUMNS * CROP // 4


def labelled(frames: Frames, i: int) -> Image.Image:
    """A picture with everybody's box and joints: filled where seen, a ring where hidden."""
    sheet = Image.fromarray(frames.image[i].permute(1, 2, 0).numpy())
    draw = ImageDraw.Draw(sheet)
    for m in np.flatnonzero(frames.there[i].numpy()):
        x, y, w, h = frames.box_xywh[i, m].tolist()
        draw.rectangle((x, y, x + w - 1, y + h - 1), outline=HUES[m])
        for (u, v), seen in zip(frames.kp_img[i, m].nan_to_num(nan=-99).tolist(), frames.seen[i, m], strict=True):
            draw.ellipse((u - 2, v - 2, u + 2, v + 2), fill=HUES[m] if seen else None, outline=HUES[m])
    return sheet


def truth(frames: Frames, i: int) -> Image.Image:
    """Depth, the nearer the brighter, and masks in the hues of the boxes."""
    near = (1.6 / frames.depth[i].clamp_min(1.6)).numpy()[..., None]
    out = np.repeat(near * 200, 3, -1)
    for m in range(frames.there.shape[1]):
        out = np.where(frames.mask_of(m)[i].numpy()[..., None], np.array(HUES[m]) * (0.35 + 0.65 * near), out)
    return Image.fromarray(out.clip(0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--data", help="folder of the CMU data; the packaged subset where nothing is said")
    parser.add_argument("--seed", type=int, default=0)
    args = parser.parse_args()
    options = RenderOptions(noise=0.015)
    source = rendered_source(args.data, "train", options, crop=CROP)
    gen = torch.Generator().manual_seed(args.seed)
    crops = source.batch(3 * COLUMNS, gen)
    frames = source.frames(4, gen, size_wh=(SIDE, SIDE))
    sheet = Image.new("RGB", (COLUMNS * CROP, 3 * CROP + 2 * SIDE))
    for k, image in enumerate(crops.image):
        sheet.paste(Image.fromarray(image.permute(1, 2, 0).numpy()), (k % COLUMNS * CROP, k // COLUMNS * CROP))
    for i in range(4):
        sheet.paste(labelled(frames, i), (i * SIDE, 3 * CROP))
        sheet.paste(truth(frames, i), (i * SIDE, 3 * CROP + SIDE))
    sheet.quantize(256).save(args.out, optimize=True)


if __name__ == "__main__":
    main()
