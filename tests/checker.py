"""The type checker of the tests: beartype, where an int will do for a float (the numeric tower of PEP 484)."""

from __future__ import annotations

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
