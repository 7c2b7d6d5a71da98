"""One file of a repository of the Hugging Face Hub; whatever keeps it from being fetched is one clear error."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from poselift.errors import InputError

__all__ = ["hub_file"]


def hub_file(
    repository: str, name: str, *, revision: str | None = None, folder: Path | None = None, optional: bool = False
) -> Path | None:
    """The local path of a file of `organisation/name`, fetched if need be; None if it is not there and may be missing.

    folder: where to put it (under its name in the repository) instead of the Hub's own cache. Raises `InputError`.
    """
    from huggingface_hub import hf_hub_download
    from huggingface_hub.errors import EntryNotFoundError, LocalEntryNotFoundError

    where: dict[str, Any] = {} if folder is None else {"local_dir": folder}
    try:
        with _quiet():
            return Path(hf_hub_download(repository, name, revision=revision, **where))
    except Exception as error:  # its own errors, those of its HTTP library and of its transfers have no common base
        if optional and isinstance(error, EntryNotFoundError):
            return None
        source = f"hf:{repository}{f'@{revision}' if revision else ''}"
        lost = isinstance(error, LocalEntryNotFoundError) and error.__cause__  # no network: it says why at length
        raise InputError(f"cannot be fetched from the Hugging Face Hub: {lost or error}", file=source) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keeps warnings about every attempt out of the user's sight; what is wrong in the end is said by us."""
    logger = logging.getLogger("huggingface_hub")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        logger.setLevel(level)
