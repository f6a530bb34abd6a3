"""The options that several commands share: how each is written, what it is for, and how a shell completes it."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from contrastbench.cli import completing
from contrastbench.runner.checkpoint import RESUME_ANYWAY

# Which runs are meant; ``choosing`` reads them.
Targets = Annotated[
    list[str] | None,
    typer.Argument(
        help="PAPER\\[/TABLE\\[/CELL]] or the beginning of a run's key; all papers if not given",
        autocompletion=completing.targets,
    ),
]
Scale = Annotated[str, typer.Option(help="smoke, quick, lite or paper", autocompletion=completing.scales)]
AnyScale = Annotated[
    str | None,
    typer.Option(help="smoke, quick, lite or paper; all if not given", autocompletion=completing.scales),
]
Seeds = Annotated[str | None, typer.Option(help="a number of seeds (5), or the seeds (0-4 or 0,3,7)")]
Settings = Annotated[
    list[str] | None,
    typer.Option("--set", help="a config field to change: key=value, or key=1,2,3 for a sweep; repeatable"),
]

# Where runs are done, and how; ``launching`` reads them.
LauncherName = Annotated[
    str,
    typer.Option(
        "--launcher", help="inline (debugging), local (a queue) or slurm", autocompletion=completing.launchers
    ),
]
Device = Annotated[
    str | None,
    typer.Option(help="inline, local: cpu, cuda, cuda:0, or auto (a GPU if there is one and it is faster)"),
]
Threads = Annotated[
    int | None,
    typer.Option(min=1, help="inline, local: threads of a run; they may change the last bits of its results"),
]
Slots = Annotated[int | None, typer.Option(min=1, help="local: runs at a time; as many as fit if not given")]
RunsPerGpu = Annotated[int | None, typer.Option(min=1, help="local: runs at the same time on a GPU")]
ProfileName = Annotated[
    str | None,
    typer.Option("--profile", help="slurm: a file of slurm/ without its .toml", autocompletion=completing.profiles),
]
Detach = Annotated[
    bool, typer.Option("--detach", help="slurm: submit and return; the same command later shows how far it is")
]


def _resume_anyway(asked: bool) -> bool:
    if asked:
        os.environ[RESUME_ANYWAY] = "1"  # which every worker sees, whoever starts it
    return asked


ResumeAnyway = Annotated[
    bool,
    typer.Option(
        "--resume-anyway",
        callback=_resume_anyway,
        help="go on from what other code has saved, where a run would start again; its row names both",
    ),
]

Watch = Annotated[bool, typer.Option("--watch", help="count again every few seconds until nothing runs")]
