"""Files that are whole or absent: every write that matters goes to a temporary file, is synced, and is renamed."""

import csv
import errno
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO


def write_whole(path: Path, write: Callable[[BinaryIO], object], *, sync: bool = True) -> None:
    """Calls ``write`` on a temporary neighbour of ``path``, then renames it into place.

    A reader sees the old file or the new one, never a part. ``sync=False`` is for files that may be lost with the
    machine (heartbeats): the rename still keeps them whole.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        with open(temporary, "wb") as file:
            write(file)
            file.flush()
            if sync:
                os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    if sync:  # the rename too survives a power cut
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)


def write_bytes(path: Path, content: bytes, *, sync: bool = True) -> None:
    write_whole(path, lambda file: file.write(content), sync=sync)


def read_csv(path: Path) -> list[dict[str, str]]:
    """The lines of a CSV file by the names in its header."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_text(path: Path, text: str, *, sync: bool = True) -> None:
    write_bytes(path, text.encode(), sync=sync)


def write_json(path: Path, value: Any, *, sync: bool = True) -> None:
    write_text(path, json.dumps(value, sort_keys=True, indent=1, allow_nan=False) + "\n", sync=sync)


def read_json(path: Path) -> Any:
    """The file's JSON value.

    Raises:
        ValueError: the file is cut off or is not JSON; the message names it.
    """
    return parse_json(path.read_bytes(), str(path))


def read_object(path: Path) -> dict[str, Any]:
    """The file's JSON object.

    Raises:
        ValueError: the file is cut off, is not JSON, or holds a list, a number or a text; the message names it.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise ValueError(f"{path} holds {type(value).__name__}, not an object; remove it and the run is done again")
    return value


def object_or_empty(path: Path) -> dict[str, Any]:
    """The file's JSON object; empty where there is no such file or a damaged one, which then tells nothing."""
    try:
        return read_object(path)
    except (OSError, ValueError):
        return {}


def parse_json(text: bytes, where: str) -> Any:
    """The JSON value of a text that was read from ``where``, which an error names."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{where} is not whole JSON ({error}); remove it and the run is done again") from error


def is_full_disk(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that the disk or the quota is full."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        is_full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
        if is_full or "No space left on device" in message_of(error):
            return True
        seen.add(id(error))
        error = error.__cause__ or error.__context__
    return False


def message_of(error: BaseException) -> str:
    """What an exception says, also where its own ``__str__`` fails."""
    try:
        return str(error)
    except Exception:
        return f"{type(error).__name__} that cannot be printed"


CONTROL_CHARACTERS = {code: f"\\x{code:02x}" for code in (*range(32), *range(127, 160)) if chr(code) not in "\n\t"}


def printable(text: str) -> str:
    """The text with every character spelt out that would move a terminal's cursor or colour it."""
    return text.translate(CONTROL_CHARACTERS)
