"""What a user's files hold: texts, members of zip files, pictures. Whatever is damaged gets one line that names it."""

import zipfile
from pathlib import Path, PurePath
from typing import IO, Any

LONGEST_LINE = 1_000_000  # characters; a longer line is no prose, and splitting it would take minutes


def is_clutter(relative: str | PurePath) -> bool:
    """Whether the system or a tool left this among the user's files: ``__MACOSX/a.txt``, ``._a.txt``, ``.cache/a``."""
    return any(part == "__MACOSX" or part.startswith(".") for part in PurePath(relative).parts)


def text_of(content: bytes, label: str) -> str:
    """The text of a file.

    Raises:
        ValueError: not UTF-8, empty, or with a line of more than a million characters; ``label`` names the file.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{label} is not UTF-8 (byte {error.start}); convert it first") from None
    if not text.strip():
        raise ValueError(f"{label} is empty")
    longest = max(map(len, text.splitlines()))
    if longest > LONGEST_LINE:
        raise ValueError(f"{label} has a line of {longest:,} characters; at most {LONGEST_LINE:,} are read")
    return text


def members(archive: Path) -> list[str]:
    """The names of the files in a zip file, sorted, without clutter.

    Raises:
        ValueError: it is not a whole zip file.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            names = sorted(opened.namelist())
    except Exception as error:  # damaged bytes make zipfile raise half a dozen kinds
        raise ValueError(f"{archive} is not a whole zip file ({error})") from error
    return [name for name in names if not is_clutter(name)]


def member(archive: Path, name: str) -> bytes:
    """The content of a file in a zip file.

    Raises:
        ValueError: that part of the zip file is damaged or needs a password.
    """
    try:
        with zipfile.ZipFile(archive) as opened:
            return opened.read(name)
    except Exception as error:  # of zipfile, zlib, bz2 or lzma
        raise ValueError(f"{archive} is not a whole zip file ({name}: {error})") from error


def picture_of(file: Path | IO[bytes], label: str) -> Any:
    """The decoded picture, in mode L if it is grey and else in RGB.

    Raises:
        ValueError: not a whole picture, one of more pixels than Pillow takes for harmless (179 million), or one of more
            than 8 bits a channel, which would turn white.
    """
    from PIL import Image

    try:
        with Image.open(file) as picture:
            if not picture.mode.startswith(("I", "F")):
                return picture.convert("L" if picture.mode in ("1", "L") else "RGB")
            mode = picture.mode
    except Image.DecompressionBombError as error:
        raise ValueError(f"{label} is too large a picture ({error})") from error
    except Exception as error:  # damaged bytes make Pillow's decoders raise anything
        raise ValueError(f"{label} is not a whole picture ({error})") from error
    raise ValueError(f"{label} has more than 8 bits a channel (mode {mode}); convert it to 8 bits first")
