"""Reads from the command line which runs are meant: targets, scale, seeds and settings."""

from __future__ import annotations

from collections.abc import Sequence

from contrastbench.selection import Targets, read_targets

MOST_SEEDS = 10_000


def asked_for(
    targets: Sequence[str] | None,
    scale: str | None = None,
    seeds: str | None = None,
    settings: Sequence[str] | None = None,
) -> Targets:
    """What the options of a command name.

    Raises:
        ValueError: an unknown paper, table or scale; or seeds or settings that cannot be read.
    """
    return read_targets(targets, scale, seed_numbers(seeds), settings_by_name(settings))


def seed_numbers(text: str | None) -> list[int] | None:
    """``5`` is 0..4; ``0-4`` and ``0,3,7`` are those seeds."""
    if text is None:
        return None
    given = text
    try:
        if text.isdigit() and int(text) > 0:
            text = f"0-{int(text) - 1}"
        first, dash, last = text.partition("-")
        if dash and int(last) - int(first) >= MOST_SEEDS:
            raise ValueError
        seeds = list(range(int(first), int(last) + 1)) if dash else [int(part) for part in text.split(",")]
        if seeds and min(seeds) >= 0 and ("," in text or dash):
            return seeds
    except ValueError:
        pass
    raise ValueError(
        f"seeds must be a number of seeds (5), a range (0-4) or a list (0,3,7), {MOST_SEEDS:,} at most; got {given!r}"
    )


def settings_by_name(pairs: Sequence[str] | None) -> dict[str, str]:
    """``key=value`` pairs by key.

    Raises:
        ValueError: a pair without a key, an equals sign or a value, or a key that is given twice.
    """
    by_name: dict[str, str] = {}
    for pair in pairs or ():
        key, equals, value = pair.partition("=")
        if not (key and equals and value):
            raise ValueError(f"--set takes key=value, got {pair!r}")
        if key in by_name:
            raise ValueError(f"--set {key} is given twice ({by_name[key]} and {value}); a sweep is --set {key}=1,2")
        by_name[key] = value
    return by_name
