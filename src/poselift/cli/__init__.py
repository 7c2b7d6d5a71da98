"""The command `poselift`: the only reader of arguments.

`COMMANDS` is the table: each name leads to a dataclass whose fields are the command's arguments (their
doc strings are its help) and whose `run` does the work. Nothing is imported before it is needed: the help
costs no torch. Exit status: 0 done, 2 bad input or arguments (one line `poselift: …`), 130 interrupted; a
bug keeps its traceback and status 1.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import poselift
from poselift.errors import InputError, MissingExtraError, PoseliftError, unknown_name

__all__ = ["COMMANDS", "Command", "main", "run"]


@dataclass(frozen=True)
class Command:
    """A row of `COMMANDS`: `where` is `module:Class` of its arguments."""

    summary: str
    where: str

    def load(self) -> Any:
        module, _, name = self.where.partition(":")
        return getattr(importlib.import_module(module), name)


COMMANDS: dict[str, Command] = {
    "lift": Command(
        "video, pictures or 2D keypoints of people → metric 3D: npz, JSON, BVH, a page", "poselift.cli.lifting:Lift"
    ),
    "roots": Command("pictures with boxes or annotations → where people stand, by RootNet", "poselift.cli.roots:Roots"),
    "demo": Command("lift the bundled clip and compare it with the truth", "poselift.cli.lifting:Demo"),
    "view": Command("look at lifted people in the live viewer", "poselift.cli.lifting:View"),
    "models": Command("list the weights at hand, their data licence and error", "poselift.cli.lifting:Models"),
    "import": Command("turn a published checkpoint into a model folder", "poselift.cli.importing:Import"),
    "train": Command("train a lifter by a named recipe, or resume", "poselift.cli.training:Train"),
    "eval": Command("compare a model with the truth: tables and plots", "poselift.cli.training:Eval"),
    "eval roots": Command("compare a file of roots with annotated places: MRPE, AP_25", "poselift.cli.roots:EvalRoots"),
    "data prepare": Command("bring a data set into the native form, once", "poselift.cli.data:Prepare"),
    "data info": Command("describe any file: people, frames, gaps, plausibility", "poselift.cli.data:Info"),
}


EXTRAS = {
    "lightning_fabric": "train", "tensorboard": "train", "matplotlib": "view", "viser": "view",
    "transformers": "vitpose", "av": "video", "mediapipe": "video", "PIL": "video", "skimage": "demo",
    "onnx": "onnx", "onnxruntime": "onnx", "onnxscript": "onnx",
}  # fmt: skip
"""Libraries that are not always installed, and the extra that brings them."""


def run() -> NoReturn:
    """Entry point of the console script."""
    status = main(sys.argv[1:])
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # all is done: nothing that libraries do at exit is worth a traceback
    sys.exit(status)


def main(argv: Sequence[str]) -> int:
    """Run one command line and give its exit status."""
    try:
        status = _dispatch(list(argv))
        sys.stdout.flush()
        return status
    except PoseliftError as error:
        return _complain(str(error), 2)
    except KeyboardInterrupt:
        return _complain("interrupted", 130)
    except ModuleNotFoundError as error:
        library = (error.name or "").partition(".")[0]
        if library not in EXTRAS:
            raise
        return _complain(str(MissingExtraError(library, EXTRAS[library], f"poselift {' '.join(argv[:1])}")), 2)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 141


def _complain(line: str, status: int) -> int:
    print(f"poselift: {line}", file=sys.stderr)
    return status


def _dispatch(argv: list[str]) -> int:
    if not argv or argv[0] in ("-h", "--help", "help"):
        print(_help())
        return 0
    if argv[0] in ("-V", "--version"):
        print(f"poselift {poselift.__version__}")
        return 0
    names = [" ".join(argv[:n]) for n in (2, 1)]
    name = next((n for n in names if n in COMMANDS), None)
    if name is None:
        return _group(argv)
    command = parse(COMMANDS[name].load(), f"poselift {name}", argv[len(name.split()) :])
    return 0 if command is None else int(command.run() or 0)


def _group(argv: list[str]) -> int:
    """`poselift data` alone: its commands; anything else is no command."""
    inside = [n for n in COMMANDS if n.startswith(argv[0] + " ")]
    if inside and (len(argv) == 1 or argv[1] in ("-h", "--help")):
        print(_help(inside))
        return 0
    if inside and not argv[1].startswith("-"):
        raise unknown_name("command", " ".join(argv[:2]), inside)
    raise unknown_name("command", argv[0], COMMANDS)


def _help(names: Sequence[str] | None = None) -> str:
    width = max(map(len, COMMANDS))
    rows = [f"  {name:<{width}}  {COMMANDS[name].summary}" for name in names or COMMANDS]
    usage = "usage: poselift COMMAND [arguments]        poselift COMMAND --help explains one of them"
    head = [] if names else ["", "From what one camera sees of people to metric 3D pose."]
    return "\n".join([usage, *head, "", "commands:", *rows])


def parse(arguments: Any, prog: str, argv: Sequence[str]) -> Any:
    """Arguments → an instance of the dataclass, or None when only help was asked for. Raises `InputError`.

    A class with a `parse(prog, argv)` of its own is asked instead.
    """
    own = getattr(arguments, "parse", None)
    return own(prog, argv) if own is not None else read_arguments(arguments, prog, argv)


def read_arguments(arguments: Any, prog: str, argv: Sequence[str], *, default: Any = None) -> Any:
    """tyro, with its boxes of complaints turned into one line."""
    import contextlib
    import io

    import tyro

    style = (tyro.conf.AvoidSubcommands,)
    complaints = io.StringIO()
    kwargs = {} if default is None else {"default": default}
    try:
        with contextlib.redirect_stderr(complaints):
            return tyro.cli(arguments, prog=prog, args=list(argv), config=style, **kwargs)
    except SystemExit as stop:
        if not stop.code:
            return None
        raise InputError(f"{_plain(complaints.getvalue())} ({prog} --help)") from None


def _plain(boxes: str) -> str:
    """What a tyro error box says, in one line: without frames, repeated help texts and the hint to the help."""
    words: list[str] = []
    in_option = False
    for line in boxes.splitlines():
        text = line.strip("│| ")
        if line.startswith(("╭", "╰", "+-")) or not text.strip("─-"):
            continue
        if text.startswith(("For full helptext", "Got errors", "Argument helptext")):
            break
        is_option = text.startswith("-")
        if is_option or not in_option or text.startswith("Perhaps you meant"):
            words.append(text)
            in_option = is_option
    return " ".join(words).replace(" Perhaps you meant:", "; perhaps you meant") or "bad arguments"
