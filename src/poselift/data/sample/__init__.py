"""The CMU subset that comes with the package; `README.md` beside it is its card."""

from pathlib import Path

__all__ = ["SAMPLE"]

SAMPLE = Path(__file__).parent / "cmu_sample.npz"
"""Motions of every split of `cmu17`, at most 7 s of each, 50 frames/s, positions rounded to 0.1 mm."""
