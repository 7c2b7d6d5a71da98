"""Pictures of people for training and for tests, drawn on the fly from CMU motion that everyone may use.

python examples/04_rendered_people.py
"""

from __future__ import annotations

import torch

from poselift.data.rendered import rendered_source

source = rendered_source(None, "train", crop=128)  # None: the packaged subset; else a folder
gen = torch.Generator().manual_seed(0)

crops = source.batch(8, gen)  # what training needs: one person each, RootNet's k, the root's place
for z, k, seen in zip(crops.root_z, crops.k, crops.visible.sum(1), strict=True):
    print(f"root {z:4.1f} m away, k {k:4.1f} m, {int(seen)} of {len(crops.skeleton)} joints in the crop")

frames = source.frames(2, gen, size_wh=(320, 240))  # whole pictures, everybody's truth
for i in range(len(frames)):
    people = int(frames.there[i].sum())
    print(f"picture {i}: {people} people, {int(frames.seen[i].sum())} of {17 * people} joints seen and not hidden")
