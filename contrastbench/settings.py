"""What ``--set key=value`` means: values are read by their field's type and checked by what the paper declares.

A field of a config says it itself: ``beta: float = setting(0.0, "[0, 1000]", loss=("hcl", "bcl"))`` takes those values,
and runs with other losses ignore it. A condition on a field that a config lacks does not count for that config.

A setting also reaches the runs that a run needs: ``pretrain.epochs=5`` by their stage or the name they are needed by,
``epochs=5`` where only they have such a field, ``dataset=...`` along the whole chain.
"""

import dataclasses
import itertools
import math
import re
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any

from contrastbench.runner.vocabulary import Run, chain, label_with

Allowed = str | Sequence[Any]  # an interval, or the possible values
INTERVAL = re.compile(r"([\[(])\s*(\S+)\s*,\s*(\S+)\s*([\])])")


@cache
def fields_of(config_type: type) -> dict[str, Any]:
    """The fields of a kind of config with their types."""
    hints = typing.get_type_hints(config_type)
    return {spec.name: hints[spec.name] for spec in dataclasses.fields(config_type)}


def settings_of(run: Run) -> list[str]:
    """Every key that ``--set`` takes for a run: its own fields, then those of the stages that it needs."""
    needed = [each for each in chain([run]).values() if each.key != run.key]
    of_stages = [f"{each.stage}.{field}" for each in needed for field in fields_of(each.config.__class__)]
    return list(dict.fromkeys([*fields_of(run.config.__class__), *of_stages]))


def runs_with_field(run: Run, key: str) -> list[Run]:
    """The runs of a chain whose config the setting ``key`` changes; none if no run there has the field.

    ``stage.field`` means every run of that stage or needed by that name. A bare field means the run itself or, if it
    has no such field, the runs that it needs. ``dataset`` means every run on the same data set.

    Raises:
        ValueError: only needed runs have the bare field, and they are of several stages.
    """
    stage, _, field = key.rpartition(".")
    runs = chain([run])
    having = [each for each in runs.values() if field in fields_of(each.config.__class__)]
    if stage:
        by_name = {need.key for each in runs.values() for name, need in each.needs.items() if name == stage}
        return [each for each in having if each.stage == stage or each.key in by_name]
    if field == "dataset":
        return [each for each in having if each.config.dataset == having[-1].config.dataset]
    if field in fields_of(run.config.__class__):
        return [run]
    if len(stages := dict.fromkeys(each.stage for each in having)) > 1:
        raise ValueError(f"several stages have {field!r}; say {' or '.join(f'{stage}.{field}' for stage in stages)}")
    return having


def change_settings(run: Run, changes: Mapping[str, Any]) -> Run:
    """The run with settings changed along its chain, and labels that say so."""
    hit = {key: {each.key for each in runs_with_field(run, key)} for key in changes}
    made: dict[str, Run] = {}
    for each in chain([run]).values():  # what a run needs comes before it
        own = {_field(key): value for key, value in changes.items() if each.key in hit[key]}
        new = each.with_config(**own)
        needs = {name: made[need.key] for name, need in each.needs.items() if not fields_not_read(new, [name])}
        new = dataclasses.replace(new, needs=needs)
        follows = "dataset" not in fields_of(each.config.__class__) and hit.get("dataset", set()) & chain([each]).keys()
        dataset = changes["dataset"] if follows else new.dataset
        made[each.key] = dataclasses.replace(new, dataset=dataset, method=relabel(each.method, each, run, changes))
    return made[run.key]


def relabel(method: str, run: Run, last: Run, changes: Mapping[str, Any]) -> str:
    """The method's name with those changes that set something anew in the run or below it.

    Args:
        last: the end of the chain that the run is in, which says what each key means.
    """
    below = chain([run])

    def is_new(key: str, value: Any) -> bool:
        configs = [each.config for each in runs_with_field(last, key) if each.key in below]
        return any(getattr(config, _field(key)) != value for config in configs)

    return label_with(method, {key: value for key, value in changes.items() if is_new(key, value)})


def _field(key: str) -> str:
    return key.rpartition(".")[2]


def combinations(run: Run, settings: Mapping[str, str]) -> list[dict[str, Any]]:
    """What the settings change: one dict of values for each combination, as ``beta=0.5,1,2`` asks for three.

    Raises:
        ValueError: a value that is not of its field's type or not in the range that the paper declares.
    """
    lists = [_values_along(run, key, text) for key, text in settings.items()]
    return [dict(zip(settings, values, strict=True)) for values in itertools.product(*lists)]


def _values_along(run: Run, key: str, text: str) -> list[Any]:
    """The values that a setting's text gives: several where commas part them, one tuple where the field is one.

    Each config that the setting reaches must allow them.
    """
    values: list[Any] = []
    for config in dict.fromkeys(each.config for each in runs_with_field(run, key)):
        kind = fields_of(config.__class__)[_field(key)]
        parts = [text] if typing.get_origin(kind) is tuple else text.split(",")
        values = [_parse(key, part, kind) for part in parts]
        for value in values:
            _check_range(key, value, allowed_values(config, _field(key)))
    return list(dict.fromkeys(values))


def allowed_values(config: Any, key: str) -> Allowed | None:
    """The interval or the possible values of a config's field; None where it takes whatever is of its type."""
    return _metadata(config, key).get("allowed")


def used_where(config: Any, key: str) -> Mapping[str, Allowed]:
    """The fields, and "stage", with the values under which a run reads the field ``key`` or needs the run ``key``."""
    needed = getattr(config, "NEEDED_WHERE", {})
    return needed.get(key) or _metadata(config, key).get("used_where") or {}


def _metadata(config: Any, key: str) -> Mapping[str, Any]:
    return next((spec.metadata for spec in dataclasses.fields(config) if spec.name == key), {})


def _parse(key: str, text: str, kind: Any) -> Any:
    options = [option for option in typing.get_args(kind) or (kind,) if option is not type(None)]
    if text in ("none", "None") and type(None) in typing.get_args(kind):
        return None
    if typing.get_origin(kind) is tuple:
        return tuple(_parse(key, part, options[0]) for part in text.split(",") if part)
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
            raise ValueError(f"setting {key} must be {range_in_words(allowed)}, got {item!r}")


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


def range_in_words(allowed: Allowed) -> str:
    """``in [0, 1)``, ``at least 0`` or ``infograph, hard or graphcl``."""
    if not isinstance(allowed, str):
        names = [str(each) or "empty" for each in allowed]
        return " or ".join([", ".join(names[:-1]), names[-1]][len(names) < 2 :])
    match = INTERVAL.fullmatch(allowed)
    if match and match[3] == "inf":
        return f"{'at least' if match[1] == '[' else 'above'} {match[2]}"
    return f"in {allowed}"


def settings_not_read(run: Run, keys: Iterable[str]) -> dict[str, str]:
    """Those of the settings that no run of the chain reads, each with the runs that do."""
    found = {}
    for key in keys:
        reasons = [fields_not_read(each, [_field(key)]) for each in runs_with_field(run, key)]
        if not reasons:  # it was a setting of a run that these settings do not need
            owner = key.rpartition(".")[0]
            found[key] = fields_not_read(run, [owner]).get(owner, "the run that has it is needed")
        elif all(reasons):
            found[key] = reasons[-1][_field(key)]
    return found


def fields_not_read(run: Run, keys: Iterable[str]) -> dict[str, str]:
    """Those of the fields that the run does not read, each with the runs that do.

    ``{"beta": "method is hard"}`` says that only runs of that method read beta.
    """
    found = {}
    for key in keys:
        for name, allowed in used_where(run.config, key).items():
            value = run.stage if name == "stage" else getattr(run.config, name, None)
            if value is not None and not is_in(value, allowed):
                found[key] = f"{name} is {range_in_words(allowed)}"
    return found
