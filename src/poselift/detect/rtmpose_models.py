"""RTMPose's published models: fetched once from the Hugging Face Hub, kept in the user's cache.

OpenMMLab publishes ONNX files as zips with mmdeploy's notes (Apache-2.0); `Tau-J/RTMPose`, of RTMPose's first author,
carries them under the same names. The sets are those of rtmlib's bodies (mode `balanced` and its siblings). The one
.onnx member is taken out of a zip, compared with the SHA-256 stated here and kept; what is in the cache is compared
again whenever it is used. Zips or .onnx files that a user puts into the cache folder will do as well.
"""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from poselift.errors import InputError, unknown_name
from poselift.storage.archives import Archive, open_archive
from poselift.storage.atomic import check_folder, write_aside
from poselift.storage.cache import cache_folder, sha256_of_file
from poselift.storage.hub import hub_file
from poselift.structures import skeleton

__all__ = ["DEFAULT_SET", "REPOSITORY", "SETS", "ModelSet", "OnnxFile", "cached_models", "published_models"]

REPOSITORY = "Tau-J/RTMPose"
DEFAULT_SET = "balanced"
_PLACE = "rtmposev1/onnx_sdk"
_MAX_BYTES = 1 << 30
_PIECE = 1 << 20


@dataclass(frozen=True, kw_only=True)
class OnnxFile:
    """A published model: name of its zip, without the ending; SHA-256 and size (about; 10^6 bytes) of its .onnx."""

    name: str
    sha256: str
    megabytes: int


@dataclass(frozen=True, kw_only=True)
class ModelSet:
    """What finds people, and the networks for their joints by skeleton."""

    people: OnnxFile
    joints: dict[str, OnnxFile]


SETS: dict[str, ModelSet] = {
    "lightweight": ModelSet(
        people=OnnxFile(
            name="yolox_tiny_8xb8-300e_humanart-6f3252f9",
            sha256="ceb11c07298f95c50d7c5abeb906d03340c85f23aa79e3e66966e7fb6c307250",
            megabytes=20,
        ),
        joints={
            "coco17": OnnxFile(
                name="rtmpose-s_simcc-body7_pt-body7_420e-256x192-acd4a1ef_20230504",
                sha256="9aeb635b83f86aea45cf45d85798f7eba1a162de8e0d721c44e54fe5eebaf47d",
                megabytes=22,
            ),
            "halpe26": OnnxFile(
                name="rtmpose-s_simcc-body7_pt-body7-halpe26_700e-256x192-7f134165_20230605",
                sha256="85c5d669aa0b0c7969799ea9e0620d3b8c1d3c2b6878243e98a1ef8351457986",
                megabytes=23,
            ),
        },
    ),
    "balanced": ModelSet(
        people=OnnxFile(
            name="yolox_m_8xb8-300e_humanart-c2c7a14a",
            sha256="3dea6513388889f0fff4b77bf7a26013600321b9eb9ceb0e9a400a82572f5f23",
            megabytes=101,
        ),
        joints={
            "coco17": OnnxFile(
                name="rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504",
                sha256="5c0a4bf67953e6d2ac43ce15e77dc9d5d354ae18430a47d2c5963a7bc5683e3c",
                megabytes=54,
            ),
            "halpe26": OnnxFile(
                name="rtmpose-m_simcc-body7_pt-body7-halpe26_700e-256x192-4d3e73dd_20230605",
                sha256="26f3a19e61304a600dfb82d1001d41d24343b89fc70a33ffc84657e0b0bf2ecf",
                megabytes=56,
            ),
        },
    ),
    "performance": ModelSet(
        people=OnnxFile(
            name="yolox_x_8xb8-300e_humanart-a39d44ed",
            sha256="8e9ea96a176bd48501eaaa77216e49ee30794d2f8ba80c7b9862beca4ea972da",
            megabytes=396,
        ),
        joints={
            "coco17": OnnxFile(
                name="rtmpose-x_simcc-body7_pt-body7_700e-384x288-71d7b7e9_20230629",
                sha256="df0c0fa91e9870b1515dcaff741fd76cc753dcfb12786862f61b243bae81cd52",
                megabytes=198,
            ),
            "halpe26": OnnxFile(
                name="rtmpose-x_simcc-body7_pt-body7-halpe26_700e-384x288-7fb6e239_20230606",
                sha256="21bdaefd1a9b7934160987e754d8eca191bc44cccbfa3ba2ef71142c6dd05a9a",
                megabytes=200,
            ),
        },
    ),
}


def published_models(name: str | None, layout: str | None) -> tuple[OnnxFile, OnnxFile]:
    """What finds people and what finds their joints, of the set of that name (`DEFAULT_SET`) for a skeleton (coco17).

    Raises `InputError` where there is no such set, or none for these joints.
    """
    name, layout = name or DEFAULT_SET, layout or "coco17"
    if name not in SETS:
        raise unknown_name("set of RTMPose models", name, SETS)
    joints = SETS[name].joints
    if layout not in joints:
        want = f"{' or '.join(joints)}, the joints of the published models"
        raise InputError(field="skeleton", expected=want, found=skeleton(layout).name)
    return SETS[name].people, joints[layout]


def cached_models(wanted: tuple[OnnxFile, ...], *, say: Callable[[str], None] | None = None) -> tuple[Path, ...]:
    """Local .onnx files of published models: from the cache if they are there and sound, else fetched into it.

    Raises `InputError` where one cannot be fetched, or where what was fetched is not what it should be.
    """
    folder = cache_folder("rtmpose")
    paths = {model: folder / f"{model.name}.onnx" for model in wanted}
    lacking = [m for m in wanted if sha256_of_file(paths[m]) != m.sha256]
    damaged = [paths[m].name for m in lacking if paths[m].exists()]
    if lacking:
        check_folder(folder)
    remote = [m for m in lacking if not (folder / f"{m.name}.zip").is_file()]
    if remote and say is not None:
        say(f"fetching RTMPose's models, once ({sum(m.megabytes for m in remote)} MB)")
    for model in lacking:
        if model in remote:
            _fetch(model, paths[model], remote, damaged)
        else:
            _unpack(folder / f"{model.name}.zip", model, paths[model])
    return tuple(paths.values())


def _fetch(model: OnnxFile, target: Path, remote: list[OnnxFile], damaged: list[str]) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        try:
            file = hub_file(REPOSITORY, f"{_PLACE}/{model.name}.zip", folder=Path(temporary))
        except InputError as error:
            state = f"damaged in the cache ({', '.join(damaged)}) and " if damaged else ""
            zips = " and ".join(f"{m.name}.zip" for m in remote)
            by_hand = f"Without a network: put {zips} of huggingface.co/{REPOSITORY} ({_PLACE}) into {target.parent}"
            what = f"RTMPose's models are {state}not to be fetched. {by_hand}. {error}"
            raise InputError(what, field="detector") from None
        assert file is not None
        _unpack(file, model, target)


def _unpack(file: Path, model: OnnxFile, target: Path) -> None:
    """The model out of a zip into the cache, if it is what it should be. Raises `InputError`, `OutputError`."""
    with open_archive(file, file=file.name, max_bytes=_MAX_BYTES) as archive:
        members = [n for n in archive.names if n.lower().endswith(".onnx")]
        if len(members) != 1:
            found = ", ".join(members[:3]) or "none"
            raise InputError(file=file.name, expected="one .onnx file in it", found=found)
        with write_aside(target) as aside:
            found = _copied(archive, members[0], aside)
            if found != model.sha256:
                want = f"SHA-256 {model.sha256[:12]}…"
                raise InputError(file=file.name, field=members[0], expected=want, found=f"{found[:12]}…")


def _copied(archive: Archive, member: str, target: Path) -> str:
    """Writes a member to a file, piece by piece; its SHA-256."""
    sha = hashlib.sha256()
    with archive.stream(member) as source, target.open("wb") as out:
        while piece := source.read(_PIECE):
            sha.update(piece)
            out.write(piece)
    return sha.hexdigest()
