"""Small folders in the form of ERD's data files, and pickles as Python 2 wrote them, opcode by opcode."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from poselift.data import human36m
from poselift.structures import Motion

CAMERA_NUMBERS = ("54138969", "55011271", "58860488", "60457274")

Tables = dict[str, dict[tuple[str, str, str], Any]]


def sequences(motions: Mapping[tuple[str, str], Motion], cameras: int = 1) -> tuple[dict[Any, Any], dict[Any, Any]]:
    """2D and 3D tables of {(subject, full action): motion} seen by Human3.6M's first cameras, without distortion."""
    kp: dict[Any, Any] = {}
    truth: dict[Any, Any] = {}
    for (subject, action), motion in motions.items():
        for number, camera in zip(CAMERA_NUMBERS[:cameras], human36m.cameras(subject, distorted=False), strict=False):
            clip = motion.seen_by(camera)
            assert clip.p_root is not None
            assert clip.root_cam is not None
            key = (subject, action.split(" ")[0], f"{action}.{number}")
            (fx, _, cx), (_, fy, cy) = camera.K[:2].tolist()
            kp[key] = clip.kp_img.astype(np.float64).reshape(len(clip), 34)
            truth[key] = {
                "joint_3d": clip.p_root.astype(np.float64).reshape(len(clip), 51) * 1000,
                "pelvis": clip.root_cam.astype(np.float64) * 1000,
                "camera": {"fx": fx, "fy": fy, "cx": cx, "cy": cy},
            }
    return kp, truth


def write(folder: Path, tables: Mapping[str, Any]) -> Path:
    """Tables by the first word(s) of their file's name: `train_custom_2d_unnorm`, `stat_custom_3d`, …"""
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        torch.save(table, folder / f"{name}.pth.tar", _use_new_zipfile_serialization=False)
    return folder


def python2_torch_file(value: Any) -> bytes:
    """What torch 1.1 under Python 2.7 saves of a value without tensors."""
    head = (0x1950A86A20F9469CFC6C, 1001, {"protocol_version": 1001, "little_endian": True})
    return b"".join(b"\x80\x02" + _python2(part) + b"." for part in (*head, value, []))


def _python2(value: Any) -> bytes:
    """Opcodes of protocol 2; texts are byte strings there."""
    match value:
        case bool():
            return b"\x88" if value else b"\x89"
        case int() if value < 1 << 31:
            return b"J" + struct.pack("<i", value)
        case int():
            raw = value.to_bytes(value.bit_length() // 8 + 1, "little")
            return b"\x8a" + bytes([len(raw)]) + raw
        case float():
            return b"G" + struct.pack(">d", value)
        case str():
            return _string(value.encode("latin-1"))
        case tuple():
            return b"(" + b"".join(map(_python2, value)) + b"t"
        case list():
            return b"](" + b"".join(map(_python2, value)) + b"e"
        case dict():
            return b"}(" + b"".join(_python2(k) + _python2(v) for k, v in value.items()) + b"u"
        case np.ndarray():
            made = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
            kind = b"cnumpy\ndtype\n(U\x02f8K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
            data = _string(np.ascontiguousarray(value, "<f8").tobytes())
            return made + b"(K\x01" + _python2(value.shape) + kind + b"\x89" + data + b"tb"
    raise TypeError(type(value).__name__)


def _string(raw: bytes) -> bytes:
    return b"U" + bytes([len(raw)]) + raw if len(raw) < 256 else b"T" + struct.pack("<i", len(raw)) + raw
