"""Principal components of a network's flat input, for every model that takes one: `pca` in its config.

`pca` is a number of components, or a fraction of the variance between 0 and 1: then `fit_pca` finds the least number
that keeps it and puts that number into the config. Before, the model has all components (the identity).
No whitening, largest variance first (ERD, BMVC 2020: 30 of 34).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from poselift.errors import InputError

__all__ = ["WithComponents", "principal_components"]


def principal_components(x: Float[Tensor, "n i"], pca: int | float) -> tuple[Float[Tensor, " i"], Float[Tensor, "k i"]]:
    """Mean and components: `pca` of them, or, for a fraction, as few as keep at least that much of the variance."""
    x = x.double()
    mean = x.mean(0)
    variance, axes = torch.linalg.eigh((x - mean).mT @ (x - mean))
    variance, axes = variance.flip(0).clamp_min(0), axes.flip(1)
    if isinstance(pca, float):
        kept = variance.cumsum(0)
        pca = 1 + int((kept < pca * kept[-1]).sum())
    return mean, axes[:, :pca].mT


class WithComponents(nn.Module):
    """First base class of a model whose config has `pca`; its buffers are pca_mean (i) and pca_components (k, i)."""

    config: Any
    pca_mean: Tensor
    pca_components: Tensor

    def hold_components(self, inputs: int) -> int:
        """Make the buffers if the config asks for components; gives the features that the network gets.

        Raises `InputError` for more components than inputs, and for what is neither a number nor a fraction.
        """
        pca = self.config.pca
        if not (0 <= pca <= inputs if isinstance(pca, int) else 0 < pca < 1):
            expected = f"0 to {inputs} components, or a fraction of the variance between 0 and 1"
            raise InputError(field="model pca", expected=expected, found=pca)
        rows = pca if isinstance(pca, int) else inputs
        if rows:
            self.register_buffer("pca_mean", torch.zeros(inputs))
            self.register_buffer("pca_components", torch.eye(rows, inputs))
        return rows or inputs

    def project(self, x: Float[Tensor, "*n i"]) -> Float[Tensor, "*n k"]:
        """(x - mean) componentsᵀ, or x where the config asks for none."""
        return (x - self.pca_mean) @ self.pca_components.mT if self.config.pca else x

    def take_components(self, x: Float[Tensor, "n i"]) -> None:
        """Take the principal components of the training set's inputs; settles a fraction, before any training."""
        mean, components = principal_components(x, self.config.pca)
        self._settle(len(components))
        with torch.no_grad():
            self.pca_mean.copy_(mean)
            self.pca_components.copy_(components)

    def resize_input(self, features: int) -> None:
        """Begin the network anew for so many input features (a fraction has become a number)."""
        raise NotImplementedError

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:
        """As ever; a fraction that has been settled in the stored model is settled in the same way here."""
        components = state_dict.get("pca_components")
        if isinstance(self.config.pca, float) and components is not None:
            self._settle(len(components))
        return super().load_state_dict(state_dict, strict, assign)

    def _settle(self, count: int) -> None:
        if isinstance(self.config.pca, float):
            self.config = replace(self.config, pca=count)
            self.pca_components = self.pca_components[:count].clone()
            self.resize_input(count)
