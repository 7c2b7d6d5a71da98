"""For all tests: annotated shapes and types are checked by a real type checker while tests run.

The import hook must be in place before anything of poselift is imported; `test_typing_alive.py` proves that it is.
"""

from __future__ import annotations

import os
import signal
import sys

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
os.environ.setdefault("COLUMNS", "200")

signal.signal(signal.SIGINT, signal.default_int_handler)  # shells have it ignored by what they start in the background

CHECKED = ("poselift",)
"""Packages whose annotated functions are checked on every call."""

_early = [name for name in sys.modules if name.startswith("poselift")]
assert not _early, f"imported before the type checks were switched on: {_early}"

from jaxtyping import install_import_hook  # noqa: E402

install_import_hook(CHECKED, "checker.check")
