"""Files of the Hugging Face Hub: whatever keeps one from being fetched is one line; no network here."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from poselift.errors import InputError
from poselift.storage.cache import sha256_of, sha256_of_file
from poselift.storage.hub import hub_file


class Gone(Exception):
    """As errors of HTTP libraries: derived from nothing that is known here."""


def failing(error: Exception, cause: Exception | None = None):
    def fetch(*_: object, **__: object) -> str:
        logging.getLogger("huggingface_hub.utils").warning("Retrying in 1s")
        raise error from cause

    return fetch


def test_every_failure_is_one_line_with_its_reason(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture):
    from huggingface_hub.errors import LocalEntryNotFoundError

    monkeypatch.setattr("huggingface_hub.hf_hub_download", failing(Gone("peer\nclosed")))
    with pytest.raises(InputError, match=r"^hf:a/b@v1: cannot be fetched from the Hugging Face Hub: peer closed$"):
        hub_file("a/b", "c", revision="v1")
    lost = LocalEntryNotFoundError("An error happened while trying …")
    monkeypatch.setattr("huggingface_hub.hf_hub_download", failing(lost, OSError("Connection refused")))
    with pytest.raises(InputError, match=r"^hf:a/b: cannot be fetched .*: Connection refused$"):
        hub_file("a/b", "c")
    assert hub_file("a/b", "c", optional=True) is None
    assert not caplog.records, "warnings about every attempt are not for the user"


def test_sha256_of_a_file(tmp_path: Path):
    assert sha256_of_file(tmp_path / "none") is None
    assert sha256_of_file(tmp_path) is None
    (tmp_path / "a").write_bytes(b"abc" * 100_000)
    assert sha256_of_file(tmp_path / "a") == sha256_of(b"abc" * 100_000)
