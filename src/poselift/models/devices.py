"""Which device to compute on."""

from __future__ import annotations

import torch

from poselift.errors import InputError

__all__ = ["find_device"]


def find_device(name: str | None = None) -> torch.device:
    """The device of that name; for None the first CUDA device, else the CPU. Raises `InputError` for an absent one."""
    if name is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise InputError(field="device", expected="one of this machine", found=f"{name} ({error})") from None
    return device
