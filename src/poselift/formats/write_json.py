"""`poses.json`: the facts of `scene.facts`, then `tracks`, each a list of frames; a fact or a frame per line.

A frame holds `frame`, `p_root` [[x, y, z] per joint], `root_cam` [x, y, z] and its standard deviation `root_sd` in
metres, `kp_img` [[u, v] per joint] in pixels and `conf` [per joint]. `p_root` is left out where nobody has been lifted,
`root_cam` where it is unknown, `root_sd` where nothing is known of it (`structures.uncertainty`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from poselift.formats.scene import facts
from poselift.storage.atomic import write_aside
from poselift.structures import Clip
from poselift.structures.uncertainty import root_sd

__all__ = ["write"]

_CHUNK = 1024


def write(clips: Sequence[Clip], path: str | Path) -> list[Path]:
    """Write a scene; metres to 0.01 mm, pixels to 0.001, confidence to 0.0001. Raises `InputError`, `OutputError`."""
    head = [f" {json.dumps(k)}: {json.dumps(v, ensure_ascii=False)},\n" for k, v in facts(clips).items()]
    with write_aside(path) as part, part.open("w", encoding="utf-8") as out:
        out.write("{\n" + "".join(head) + ' "tracks": [')
        for k, clip in enumerate(clips):
            out.write(("," if k else "") + f'\n  {{"track_id": {int(clip.track_id)}, "frames": [')
            for text in _frames(clip):
                out.write(text)
            out.write("\n  ]}")
        out.write("\n ]\n}\n")
    return [Path(path)]


def _frames(clip: Clip) -> Iterator[str]:
    fields = [("frame", clip.frame_numbers, 0), ("p_root", clip.p_root, 5), ("root_cam", clip.root_cam, 5)]
    fields += [("root_sd", root_sd(clip), 5)]
    fields += [("kp_img", clip.kp_img, 3), ("conf", clip.confidence, 4)]
    for start in range(0, len(clip), _CHUNK):
        columns = {}
        for name, values, digits in fields:
            if values is not None:
                block = values[start : start + _CHUNK]
                columns[name] = (np.round(block.astype(np.float64), digits) + 0.0 if digits else block).tolist()
        rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
        lines = ",\n   ".join(json.dumps(row, separators=(",", ":")) for row in rows)
        yield (",\n   " if start else "\n   ") + lines
