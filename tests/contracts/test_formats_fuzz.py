"""Readers of JSON against changed files: one value anywhere in a good file becomes anything else."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from keypoint_files import EXAMPLES
from poselift.errors import InputError
from poselift.formats import READERS, ReadOptions


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value[:4]) if isinstance(value, list) else ()
    for key, inner in pairs:
        yield from _leaves(inner, (*path, key))


_VALUES = st.one_of(
    st.none(), st.booleans(), st.integers(-3, 3), st.sampled_from([10**9, -(10**9), 10**30, 1e308]), st.floats(),
    st.text(max_size=4), st.just([]), st.just({}), st.lists(st.integers(0, 2), max_size=3),
    st.just([[1, 2], [3]]), st.just({"a": 1}),
)  # fmt: skip

_JSON = ("poses-json", "mmpose", "mediapipe", "alphapose", "coco", "openpose")


@pytest.mark.parametrize("json_name", _JSON)
@settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
    database=None,
)
@given(data=st.data())
def test_any_changed_json_is_read_or_refused(
    json_name: str, data: st.DataObject, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """One value anywhere in a good file is replaced by anything: never another exception than `InputError`."""
    example = EXAMPLES[json_name](tmp_path_factory.mktemp("fuzz"))
    file = example.path if example.path.is_file() else sorted(example.path.iterdir())[3]
    value = json.loads(file.read_text())
    where = data.draw(st.sampled_from(list(_leaves(value))))
    new = data.draw(_VALUES)
    if where:
        inner = value
        for key in where[:-1]:
            inner = inner[key]
        if data.draw(st.booleans()) or not isinstance(inner, dict):
            inner[where[-1]] = new
        else:
            del inner[where[-1]]
    else:
        value = new
    file.write_text(json.dumps(value))
    for reader in READERS.values():
        assert isinstance(reader.sniff(example.path), bool)
    with contextlib.suppress(InputError):
        found = READERS[json_name].read(example.path, ReadOptions(size_wh=(640, 480)))
        assert found
        assert sum(len(item) for item in found) < 10_000
