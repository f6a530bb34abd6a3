"""The error for a name that does not exist: what was given, and the possible names that are most like it."""

import difflib
from collections.abc import Iterable

FEW = 10  # names that an error lists in full
NEAREST = 3


def unknown(what: str, name: str, possible: Iterable[str], owner: str = "there are") -> ValueError:
    """The error for an unknown name: ``unknown table 'beat'; hard_negatives has 21, the nearest: beta, data_size``.

    Args:
        owner: who has the possible names, with its verb.
    """
    names = list(dict.fromkeys(possible))
    if len(names) <= FEW:
        return ValueError(f"unknown {what} {name!r}; {owner}: {', '.join(names) or 'none'}")
    lower = {each.lower(): each for each in names}
    close = difflib.get_close_matches(name.lower(), lower, NEAREST, cutoff=0.0)
    return ValueError(
        f"unknown {what} {name!r}; {owner} {len(names)}, the nearest: {', '.join(lower[each] for each in close)}"
    )
