"""Which code makes a row: a hash of each file of this repository that a stage imports, and which have changed since.

Comments, docstrings and layout do not count; nor does the runner, which starts and records runs; nor do data sets: the
row has a checksum of their content. Files are read and not imported, so this is quick and needs no torch. Each is read
once in a process, as a module is: a warm worker goes on with the code that it began with.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from contrastbench.runner import files
from contrastbench.runner.rows import Row
from contrastbench.runner.studies import load_paper, packages_of_others
from contrastbench.runner.vocabulary import sha256_of

OWN_PACKAGES = ("contrastbench", "baselines", "benchmarks")
RUNNER = "contrastbench.runner"

Code = dict[str, str]  # the hash of each file, by its path in the repository
Import = tuple[str, str]  # a module, and the name that is taken from it; "" for the module as a whole


@cache
def code_of(paper: str, stage: str) -> Code:
    """The files that a stage computes with: the one its function is in, and all that this imports, however far away."""
    module, _, name = load_paper(paper).stage(stage).function.rpartition(".")
    code: Code = {}
    to_see: list[Import] = [(f"{load_paper(paper).package}.{module}", name)]
    seen: set[Import] = set()
    while to_see:
        here = to_see.pop()
        source = None if here in seen else _source(here[0])
        seen.add(here)
        if source and here[1] in source.passed_on:  # a loss that losses/__init__.py passes on: only the loss's own file
            to_see.append(source.passed_on[here[1]])
        elif source:
            code[source.path] = source.sha256
            to_see += source.imports
    return dict(sorted(code.items()))


def differing(code: Code, other: Code) -> list[str]:
    """The files that are not the same in both."""
    return sorted(path for path in code.keys() | other.keys() if code.get(path) != other.get(path))


def changed_since(folder: Path, paper: str, stage: str) -> list[str]:
    """The files that have changed since the run in this folder was last begun; none where nobody noted its code.

    Raises:
        ValueError: the paper has no such stage any more.
    """
    before = files.object_or_empty(folder / "code.json")
    return differing(before, code_of(paper, stage)) if before else []


def rows_of_other_code(rows: Iterable[Row], runs_folder: Path) -> dict[str, list[str]]:
    """The finished runs here whose rows other code made: key -> the files that changed since.

    So has a run whose needed run is among them: what it read is made anew.
    """
    by_key = {row["key"]: row for row in rows}
    known: dict[str, list[str]] = {}

    def changed(key: str) -> list[str]:
        if key not in known:
            row = by_key[key]
            below = [name for _, need in row["needs"] if need in by_key for name in changed(need)]
            known[key] = sorted({*_changed_since_row(row, runs_folder / row["paper"] / key), *below})
        return known[key]

    return {key: names for key, row in by_key.items() if row["status"] == "done" and (names := changed(key))}


def _changed_since_row(row: Row, folder: Path) -> list[str]:
    """The files that changed since the row was made; none where nobody noted its code, or its stage is gone."""
    try:
        if row.get("code") in (None, sha256_of(code_of(row["paper"], row["stage"]))):
            return []
        return changed_since(folder, row["paper"], row["stage"]) or ["a file"]
    except (OSError, SyntaxError, ValueError):  # the code cannot be read; a run of it will say so
        return []


def list_some(paths: Iterable[str]) -> str:
    """``a.py, b.py, c.py and 2 more``."""
    each = sorted(set(paths))
    return ", ".join(each[:3]) + f" and {len(each) - 3} more" * (len(each) > 3)


def describe(changed: Mapping[str, Iterable[str]]) -> list[str]:
    """One line for runs whose rows other code made; no line where there are none."""
    rows = "1 row here was" if len(changed) == 1 else f"{len(changed)} rows here were"
    some = list_some(name for names in changed.values() for name in names)
    line = f"{rows} made by other code than now ({some} changed since); `run --changed` does such runs again"
    return [line] if changed else []


@dataclass(frozen=True)
class _Source:
    """One file: what it hashes to, what it imports, and the names that it only passes on from elsewhere."""

    path: str
    sha256: str
    imports: tuple[Import, ...]
    passed_on: dict[str, Import]


@cache
def _source(module: str) -> _Source | None:
    """The module's file; None for one of another package, or of the runner."""
    path = None if module == RUNNER or module.startswith(f"{RUNNER}.") else _path_of(module)
    if path is None:
        return None
    tree = ast.parse(path.read_bytes(), str(path))
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found = [(import_, bound) for node in ast.walk(tree) for import_, bound in _imports_of(node, package)]
    for each in ast.walk(tree):  # without docstrings and other texts that stand alone
        if isinstance(body := getattr(each, "body", None), list):
            kept = [line for line in body if not (isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant))]
            each.body = kept or [ast.Pass()]  # type: ignore[attr-defined]
    name = module.replace(".", "/") + ("/__init__.py" if package == module else ".py")
    sha256 = hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]
    at_top = {bound for node in tree.body for _, bound in _imports_of(node, package)}
    return _Source(name, sha256, tuple(i for i, _ in found), {bound: i for i, bound in found if bound in at_top})


def _imports_of(node: ast.AST, package: str) -> Iterator[tuple[Import, str]]:
    """What an import statement imports, and the name that it gives to it."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield (alias.name, ""), alias.asname or alias.name
    if isinstance(node, ast.ImportFrom):
        module = importlib.util.resolve_name("." * node.level + (node.module or ""), package)
        for alias in node.names:
            is_module = _path_of(f"{module}.{alias.name}") is not None
            import_ = (f"{module}.{alias.name}", "") if is_module else (module, "" if alias.name == "*" else alias.name)
            yield import_, alias.asname or alias.name


@cache
def _path_of(module: str) -> Path | None:
    """Where the module's file is, over every folder that its package is spread over; the first wins."""
    package, *rest = module.split(".")
    for root in package_folders(package) if package in code_packages() else ():
        for path in (root.joinpath(*rest).with_suffix(".py"), root.joinpath(*rest, "__init__.py")):
            if (rest or path.name == "__init__.py") and path.is_file():
                return path
    return None


def code_packages() -> list[str]:
    """The packages whose files make rows: the suite's own, and those of papers that are plug-ins."""
    return [*OWN_PACKAGES, *sorted({package.partition(".")[0] for package in packages_of_others().values()})]


def package_folders(package: str) -> list[Path]:
    """The folders that a package is spread over."""
    spec = importlib.util.find_spec(package)
    return [Path(root) for root in (spec and spec.submodule_search_locations) or ()]
