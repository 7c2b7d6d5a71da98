"""A lifter that is fed frame by frame, each in the same time and memory however many went before.

    stream = CausalLifter(lifter)
    for kp_img, conf in frames:
        p_root = stream.step(kp_img, conf, K, size_wh)

Every layer keeps the last frames of its own input in a ring, so a new frame costs one column of each layer: the
whole-sequence computation, spread over time. Results are those of `models.predict.lift_frames`, to 1e-5.
"""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from torch.nn import functional as F

from poselift.errors import InputError
from poselift.models.base import Lifter, to_camera
from poselift.models.lifters.temporal_conv import FoldedNet, TemporalConv

__all__ = ["CausalLifter"]


class CausalLifter:
    """Streaming for lifters that are causal, of single frames, or look ahead: those with a delay of `latency` frames.

    lifter: a `temporal_conv` or one of single frames, which is left alone; the stream has a folded copy of it.
    receptive_field, latency: frames. A result is the pose of the frame that came `latency` steps before; 0 for causal
    lifters. Several people are a batch. Before the first frame that one is taken to have stood, as offline.
    Raises `InputError` for a lifter of another kind that sees several frames.
    """

    def __init__(self, lifter: Lifter) -> None:
        whole = getattr(lifter, "sequence", False)  # needs all of a sequence at once
        if (whole or lifter.receptive_field > 1) and not isinstance(lifter, TemporalConv):
            expected = "a temporal_conv, or a lifter of single frames"
            raise InputError(field="streaming", expected=expected, found=type(lifter).__name__)
        self.receptive_field = lifter.receptive_field
        self.latency = 0 if lifter.causal else (lifter.receptive_field - 1) // 2
        self.lifter = lifter.fold() if isinstance(lifter, TemporalConv) else lifter
        net = self.lifter.net if isinstance(self.lifter, TemporalConv) else None
        self._net = _ColumnNet(net, lifter.skeleton.root) if isinstance(net, FoldedNet) else None
        self._axes = _Ring(2 if self.latency else 1, self.latency or 1)  # R_look_cam, also that of the result's frame
        self.reset()

    def reset(self, people: Bool[Tensor, " b"] | None = None) -> None:
        """Begin anew, or only for those people of the batch: another person has taken the place."""
        if people is None or self._lead is None:
            self._lead: torch.Size | None = None
            self._fresh: Tensor | None = None
            self._age = torch.zeros(0)
            self._last: tuple[Tensor, Tensor | None] | None = None
        else:
            self._fresh = people.clone() if self._fresh is None else self._fresh | people

    @torch.no_grad()
    def step(
        self,
        kp_img: Float[Tensor, "*b j 2"],
        conf: Float[Tensor, "*b j"],
        K: Float[Tensor, "*#b 3 3"],
        size_wh: Float[Tensor, "*#b 2"],
    ) -> Float[Tensor, "*b j 3"]:
        """The next frame of each person, pixels → p_root in metres along the camera's axes.

        *b is no axis (one person) or one. p_root belongs to the frame `latency` steps ago and is NaN as long as a
        person has no such frame. Raises `InputError` where the number of people changes without a `reset`.
        """
        lead = kp_img.shape[:-2]
        if self._lead is not None and lead != self._lead:
            raise InputError(field="streamed people", expected=tuple(self._lead), found=tuple(lead))
        b = lead.numel()
        inputs = (kp_img.reshape(b, 1, *kp_img.shape[-2:]), conf.reshape(b, 1, -1))
        cameras = (K.expand(*lead, 3, 3).reshape(b, 3, 3), size_wh.expand(*lead, 2).reshape(b, 2))
        if self._lead is None:
            self._lead, self._age = lead, torch.zeros(b, dtype=torch.long, device=kp_img.device)
            self._fresh = torch.ones(b, dtype=torch.bool, device=kp_img.device)
        if self._net is None:
            return self.lifter.lift(*inputs, *cameras).view(*lead, -1, 3)
        kp_norm, R = self.lifter.encode(*inputs, *cameras)
        return self._advance(kp_norm.flatten(1), None if R is None else R.flatten(1))

    @torch.no_grad()
    def flush(self) -> Float[Tensor, "n *b j 3"]:
        """The end of the sequence: the poses of the last `latency` frames, the last one repeated as offline; resets.

        For people who have had fewer frames, those that never were are NaN. Raises `InputError` before the first step.
        """
        if self._lead is None:
            raise InputError("nothing has been streamed", field="flush")
        if self._last is None or not self.latency:
            out = torch.empty(0, *self._lead, len(self.lifter.skeleton), 3)
        else:
            out = torch.stack([self._advance(*self._last) for _ in range(self.latency)])
        self.reset()
        return out

    def _advance(self, x: Tensor, R: Tensor | None) -> Tensor:
        """One frame of network input (b, i) and its axes (b, 9) → p_root."""
        assert self._net is not None
        assert isinstance(self.lifter, TemporalConv)
        assert self._lead is not None
        self._last, fresh = (x, R), self._fresh
        p = self._net.step(x, fresh)
        if R is not None:
            p = to_camera(p, self._axes.push(R, fresh)[:, 0].unflatten(-1, (3, 3)))
        if self.latency:
            self._age = self._age + 1 if fresh is None else torch.where(fresh, 1, self._age + 1)
            p = p.masked_fill((self._age <= self.latency)[:, None, None], torch.nan)
        self._fresh = None
        return p.view(*self._lead, -1, 3)


class _Ring:
    """The last frames of a sequence of vectors, and of them every `dilation`-th up to the newest, in constant time.

    Frames that are seen together lie side by side: those of one remainder by `dilation` have a ring of `width` of their
    own. It is kept twice, one after the other, so that wherever the newest is, it and those before it are one stretch
    of memory, to which nothing has to be copied. All places are cut out once.
    """

    def __init__(self, width: int, dilation: int) -> None:
        self.width, self.dilation = width, dilation
        self.frames: Tensor | None = None  # dilation b 2 width c
        self.at = 0

    def push(self, x: Float[Tensor, "b c"], fresh: Bool[Tensor, " b"] | None) -> Float[Tensor, "b n c"]:
        """Add a frame; for people who are fresh it is the only one there ever was. A view, good until the next."""
        if self.frames is None or self.frames.shape[1] != len(x):
            self.frames = frames = x[:, None, None].repeat(self.dilation, 1, 2, self.width, 1)
            turns = [(r, n) for n in range(self.width) for r in range(self.dilation)]
            self.slots = [frames[r, :, :, n] for r, n in turns]
            self.seen = [frames[r].flatten(1, 2)[:, n + 1 : n + 1 + self.width] for r, n in turns]
        elif fresh is not None:
            self.frames.copy_(torch.where(fresh[:, None, None, None], x[:, None, None], self.frames))
        self.at = (self.at + 1) % len(self.slots)
        self.slots[self.at].copy_(x[:, None])
        return self.seen[self.at]


class _ColumnNet:
    """A `FoldedNet`, one output frame at a time: a layer's taps side by side in one matrix, its input in a ring."""

    def __init__(self, net: FoldedNet, root: int) -> None:
        self.matrices = [w.mT.flatten(1).contiguous() for w in net.weights]  # o, w i
        self.biases = [b.detach() for b in net.biases]
        assert net.shrink.bias is not None
        for v, parts in ((net.shrink.weight[..., 0], self.matrices), (net.shrink.bias, self.biases)):
            parts.append(v.clone())
            parts[-1][3 * root : 3 * root + 3] = 0  # as `TemporalConv.rooted`
        self.rings = [_Ring(span.width, span.dilation) for span in net.spans]
        self.kept = [span.kept for span in net.spans]

    def step(self, x: Float[Tensor, "b i"], fresh: Bool[Tensor, " b"] | None) -> Float[Tensor, "b j 3"]:
        """The next output frame."""
        y = x
        for i, ring in enumerate(self.rings):
            seen = ring.push(y, fresh)
            y = self.product(max(0, 2 * i - 1), seen.flatten(1)).relu_()
            if i:
                y = self.product(2 * i, y).relu_().add_(seen[:, self.kept[i]])
        return self.product(-1, y).view(len(y), -1, 3)

    def product(self, k: int, x: Float[Tensor, "b i"]) -> Float[Tensor, "b o"]:
        if len(x) == 1:  # a vector: less to do than for a matrix of one row
            return torch.addmv(self.biases[k], self.matrices[k], x[0])[None]
        return F.linear(x, self.matrices[k], self.biases[k])
