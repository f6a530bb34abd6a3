"""Which runs are of one kind: they differ in numbers only, and go through the same code."""

from typing import Any

from contrastbench.runner import Run


def kind_of(run: Run) -> tuple[Any, ...]:
    """Equal for runs of one kind; the runs that they need may differ."""
    return run.paper, run.stage, *map(_kind_of_setting, vars(run.config).values())


def _kind_of_setting(value: Any) -> Any:
    """What of a setting can change which code runs: words, whether a number is 0, and whether a count is 1."""
    if isinstance(value, float):
        return value > 0
    if isinstance(value, tuple):
        return len(value)
    return value if isinstance(value, str | bool) else min(value, 2)
