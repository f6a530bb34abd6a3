"""What ``--set key=value`` means: values are read by their field's type and checked by what the paper declares.

A paper's ``config.py`` may declare two mappings, by the name of a field:

    RANGES = {"dropout": "[0, 1)", "epochs": "[0, inf)", "method": ("untrained", "infograph")}
    USED_BY = {"beta": {"method": ("hard",)}}  # all other methods ignore beta; "stage" stands for the run's stage

A range is an interval or the possible values; of a tuple it holds for each item. A condition of ``USED_BY`` on a field
that a config lacks does not count for that config. ``Images.beta`` is the field of the config class ``Images`` alone.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
import re
import sys
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from contrastbench.runner.vocabulary import Run

Allowed = str | Sequence[Any]  # an interval, or the possible values
INTERVAL = re.compile(r"([\[(])\s*(\S+)\s*,\s*(\S+)\s*([\])])")


def fields_of(config: Any) -> dict[str, Any]:
    """The config's fields with their types."""
    hints = typing.get_type_hints(type(config))
    return {spec.name: hints[spec.name] for spec in dataclasses.fields(config)}


def combinations(config: Any, settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the settings change: one dict of values for each combination, as ``beta=0.5,1,2`` asks for three.

    Raises:
        ValueError: a value that is not of its field's type or not in the range that the paper declares.
    """
    types = fields_of(config)
    lists = [values_of(key, text, types[key], declared(config, "RANGES", key)) for key, text in settings.items()]
    return [dict(zip(settings, values, strict=True)) for values in itertools.product(*lists)]


def declared(config: Any, mapping: str, key: str) -> Any:
    """What ``RANGES`` or ``USED_BY`` says of a field; None where the paper declares nothing."""
    known = getattr(sys.modules[type(config).__module__], mapping, {})
    return known.get(f"{type(config).__name__}.{key}", known.get(key))


def values_of(key: str, text: str, kind: Any, allowed: Allowed | None) -> list[Any]:
    """The values that the text gives the field: several where commas part them, one tuple where the field is one."""
    parts = [text] if _is_tuple(kind) else text.split(",")
    values = [_parsed(key, part, kind) for part in parts]
    for value in values:
        _check_range(key, value, allowed)
    return list(dict.fromkeys(values))


def _is_tuple(kind: Any) -> bool:
    return typing.get_origin(kind) is tuple


def _parsed(key: str, text: str, kind: Any) -> Any:
    options = [option for option in typing.get_args(kind) or (kind,) if option is not type(None)]
    if text in ("none", "None") and type(None) in typing.get_args(kind):
        return None
    if _is_tuple(kind):
        return tuple(_parsed(key, part, options[0]) for part in text.split(",") if part)
    try:
        if options[0] is bool:
            return {"true": True, "false": False}[text.lower()]
        return options[0](text)
    except (ValueError, KeyError):
        name = "true or false" if options[0] is bool else f"of type {options[0].__name__}"
        raise ValueError(f"setting {key} must be {name}, got {text!r}") from None


def _check_range(key: str, value: Any, allowed: Allowed | None) -> None:
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, float) and not math.isfinite(item):
            raise ValueError(f"setting {key} must be a finite number, got {item}")
        if allowed is not None and item is not None and not is_in(item, allowed):
            raise ValueError(f"setting {key} must be {said(allowed)}, got {item!r}")


def is_in(value: Any, allowed: Allowed) -> bool:
    """Whether the value is in an interval such as ``"[0, 1)"``, or one of the possible values."""
    if not isinstance(allowed, str):
        return value in allowed
    match = INTERVAL.fullmatch(allowed)
    if not match:
        raise ValueError(f"{allowed!r} is not an interval such as '[0, 1)'")
    opens, low, high, closes = match.groups()
    above = value >= float(low) if opens == "[" else value > float(low)
    below = value <= float(high) if closes == "]" else value < float(high)
    return above and below


def said(allowed: Allowed) -> str:
    """``in [0, 1)``, ``at least 0`` or ``infograph, hard or graphcl``."""
    if not isinstance(allowed, str):
        return " or ".join([", ".join(map(str, allowed[:-1])), str(allowed[-1])][len(allowed) < 2 :])
    match = INTERVAL.fullmatch(allowed)
    if match and match[3] == "inf":
        return f"{'at least' if match[1] == '[' else 'above'} {match[2]}"
    return f"in {allowed}"


def unused(run: Run, keys: Iterable[str]) -> dict[str, str]:
    """Those of the fields that the run does not read, each with the runs that do.

    ``{"beta": "method is hard"}`` says that only runs of that method read beta.
    """
    found = {}
    for key in keys:
        for name, allowed in (declared(run.config, "USED_BY", key) or {}).items():
            value = run.stage if name == "stage" else getattr(run.config, name, None)
            if value is not None and not is_in(value, allowed):
                found[key] = f"{name} is {said(allowed)}"
    return found
