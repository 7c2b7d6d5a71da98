"""Residual descent seen by a camera that is aimed at the person, in metres: ours, after Kang et al. (ERD, BMVC 2020).

ERD's regressors see pixels of one camera and know neither the pose nor where in the image the person stands. Here a
step sees, in the axes of a camera aimed at the root and at the root's depth: the keypoints, how far the projected
pose misses them, the pose itself, the confidence, and the depth. Increments are millimetres along those axes. Nothing
depends on the size of the image or the focal length, so that one refiner serves every camera.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from poselift.geometry.cameras import look_at_rotation
from poselift.geometry.projection import unproject
from poselift.models.base import RootSource, to_camera, to_look
from poselift.models.refiners.base import MIN_DEPTH
from poselift.models.refiners.staged import METRES, StagedDescent, StagedDescentConfig, finite

__all__ = ["LookDescent", "LookDescentConfig"]

_MISS, _PLACE, _FAR = 20.0, 2.0, 1.5
"""Per metre, of how far the projection misses and of places; the logarithm of a usual depth in metres."""
_MIN_SLANT = 0.1
"""A ray's part along the axis; one that leaves the axis further is cut off there."""
_REACH = 3.0
"""Metres; a joint is not looked for farther from the root."""


@dataclass(frozen=True, kw_only=True)
class LookDescentConfig(StagedDescentConfig):
    """The defaults were chosen on the validation performers of cmu17."""

    steps: int = 2
    """Regressors, one after the other."""
    root: RootSource = "least_squares"
    """Where the root came from in training, and comes from where nothing else is said."""


class LookDescent(StagedDescent):
    """A `Refiner` without statistics. Raises `InputError` for an unknown skeleton or numbers out of range."""

    config: LookDescentConfig

    def __init__(self, config: LookDescentConfig) -> None:
        super().__init__(config)
        self.make_regressors(8 * len(self.skeleton) + 1)

    def see(
        self,
        kp_img: Float[Tensor, "b t j 2"],
        conf: Float[Tensor, "b t j"],
        p_root: Float[Tensor, "b t j 3"],
        root_cam: Float[Tensor, "b t 3"],
        K: Float[Tensor, "b 3 3"],
    ) -> tuple[Float[Tensor, "n i"], tuple[Bool[Tensor, "b t"], Float[Tensor, "b t 3 3"]]]:
        """The features of one step, b · t rows, which frames can be refined, and R_look_cam."""
        seen = (conf > 0) & finite(kp_img)
        known = seen.any(-1) & finite(p_root.flatten(-2))
        known = known & finite(root_cam) & (root_cam[..., 2] > MIN_DEPTH)
        at = torch.where(known[..., None], root_cam, root_cam.new_tensor((0.0, 0.0, 1.0)))
        seen = seen & known[..., None] & (p_root[..., 2] + at[..., None, 2] > MIN_DEPTH)
        R, depth = look_at_rotation(at[..., :2] / at[..., 2:]), at.norm(dim=-1)[..., None, None]
        ray = to_look(unproject(torch.where(seen[..., None], kp_img, 0), torch.ones_like(conf), K), R)
        pose = to_look(torch.where(seen[..., None], p_root, 0), R)
        place = pose + torch.cat((torch.zeros_like(pose[..., :2]), depth.expand_as(pose[..., :1])), -1)
        observed, projected = (
            (x[..., :2] / x[..., 2:].clamp_min(_MIN_SLANT) * depth).clamp(-_REACH, _REACH) for x in (ray, place)
        )
        parts = (_MISS * (observed - projected), _PLACE * observed, _PLACE * pose, conf[..., None])
        joints = torch.where(seen[..., None], torch.cat(parts, -1), 0).flatten(-2)
        f = torch.cat((joints, depth[..., 0].log() - _FAR), -1)
        return f.flatten(0, 1), (known, R)

    def advance(
        self,
        p_root: Float[Tensor, "b t j 3"],
        y: Float[Tensor, "n o"],
        known: tuple[Bool[Tensor, "b t"], Float[Tensor, "b t 3 3"]],
    ) -> Float[Tensor, "b t j 3"]:
        """The pose after a step, from what its regressor gave (b · t rows)."""
        refined, R = known
        moved = p_root + to_camera(METRES * y.view_as(p_root), R)
        return torch.where(refined[..., None, None], moved, p_root)
