"""Files that an installed package brings along, read without importing the package."""

import importlib.util
from pathlib import Path


def package_path(package: str, file: str) -> Path:
    """Where a file of an installed package lies.

    Raises:
        ValueError: the package or the file is not there.
    """
    found = importlib.util.find_spec(package)
    if found is None or not found.submodule_search_locations:
        raise ValueError(f"package {package!r} is not installed: pip install {package}")
    path = Path(found.submodule_search_locations[0]) / file
    if not path.is_file():
        raise ValueError(f"package {package!r} has no file {file} (looked at {path})")
    return path


def package_file(package: str, file: str) -> bytes:
    """The content of a file of an installed package."""
    return package_path(package, file).read_bytes()
