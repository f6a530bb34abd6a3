"""The code of a submission, pinned: a copy that queued jobs import, so editing the checkout does not change them."""

from __future__ import annotations

import hashlib
import os
import shutil
import uuid
from pathlib import Path

from contrastbench.runner import provenance
from contrastbench.runner.code import code_packages, package_folders

NETWORK_OFF = {
    **dict.fromkeys(("HF_HUB_OFFLINE", "HF_DATASETS_OFFLINE", "TRANSFORMERS_OFFLINE"), "1"),
    **dict.fromkeys(("http_proxy", "https_proxy"), "http://127.0.0.1:9"),  # nobody listens there
    "CONTRASTBENCH_DOWNLOAD": "0",
}


def pin_code(folder: Path, *, copy: bool = True) -> dict[str, str]:
    """Copies the packages to ``folder/<sha256>``, so that editing the checkout does not change what queued jobs import.

    The same code is copied once; with ``copy=False`` nothing is written.

    Returns:
        What a job has in its environment: it imports the copy, names it in its rows, and has no network.
    """
    sources = _sources()
    digest = hashlib.sha256()
    for name in sorted(sources):
        content = hashlib.sha256(sources[name].read_bytes()).hexdigest()
        digest.update(f"{name}\0{content}\n".encode())
    sha256 = digest.hexdigest()
    target = folder / sha256[:16]
    if copy and not target.exists():
        _copy(sources, target)
    git = provenance.git()
    return {
        **NETWORK_OFF,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(target), os.environ.get("PYTHONPATH")])),
        "PYTHONSAFEPATH": "1",  # else the folder that a job starts in comes before the copy
        "CONTRASTBENCH_PINNED_COMMIT": git["commit"] or "none",
        "CONTRASTBENCH_PINNED_DIRTY": "1" if git["dirty"] else "0",
        "CONTRASTBENCH_PINNED_SHA256": sha256,
    }


def _sources() -> dict[str, Path]:
    """Path inside the snapshot -> file, over every folder that the packages are spread over; the first wins."""
    found: dict[str, Path] = {}
    for package, root in [(name, root) for name in code_packages() for root in package_folders(name)]:
        for path in sorted(root.rglob("*")):
            name = f"{package}/{path.relative_to(root)}"
            if name.startswith("contrastbench/suite/"):
                continue  # a wheel's papers are packages of their own
            if path.is_file() and not any(part.startswith((".", "__pycache__")) for part in name.split("/")):
                found.setdefault(name, path)
    return found


def _copy(sources: dict[str, Path], target: Path) -> None:
    temporary = target.with_name(f".{target.name}.{os.getpid()}.{uuid.uuid4().hex[:8]}.tmp")
    for name, path in sources.items():
        (temporary / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, temporary / name)
    try:
        temporary.rename(target)
    except OSError:  # another command has just made it
        shutil.rmtree(temporary)
        if not target.exists():
            raise
