"""A loss of the user's own: a function in a file. The sha256 of its files is part of each run's identity.

The file, and the modules that it imports from beside it, are copied into the folder of each run. A run that waits in a
queue therefore computes what was asked for, even if the file is edited meanwhile.
"""

import ast
import hashlib
import importlib
import inspect
import shutil
import sys
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

LONGEST = 160  # characters of an error
FOLDER = "loss"  # of a run's folder: where the copy is


@dataclass(frozen=True)
class OwnLoss:
    """A function of a file, with the files that decide what it does."""

    name: str  # "my_loss.py:my_loss"
    folder: Path
    files: tuple[str, ...]  # below the folder; the function's own and all that it imports from beside it

    @property
    def sha256(self) -> str:
        digest = hashlib.sha256()
        for name in self.files:
            digest.update(f"{name}\0{hashlib.sha256((self.folder / name).read_bytes()).hexdigest()}\n".encode())
        return digest.hexdigest()

    def function(self) -> Callable[..., Any]:
        """Imports the file, and those beside it anew.

        Raises:
            ValueError: it cannot be imported or has no such function; in one line, with the file's line at fault.
        """
        file, _, function = self.name.partition(":")
        modules = {Path(name).parts[0].removesuffix(".py") for name in self.files}
        for known in [known for known in sys.modules if known.partition(".")[0] in modules]:
            del sys.modules[known]  # another version of the file, or another's file of that name
        sys.path.insert(0, str(self.folder))
        importlib.invalidate_caches()
        writes, sys.dont_write_bytecode = sys.dont_write_bytecode, True
        try:
            module = importlib.import_module(Path(file).stem)
        except (Exception, SystemExit) as error:
            raise ValueError(f"{file} cannot be imported: {described(error, self.folder)}") from None
        finally:
            sys.dont_write_bytecode = writes
            sys.path.remove(str(self.folder))
            sys.path.append(str(self.folder))  # for what the function imports when it is called; it hides no package
        found = getattr(module, function, None)
        if not callable(found):
            there = [name for name, each in vars(module).items() if inspect.isfunction(each)]
            raise ValueError(f"{file} has no function {function!r}; it has: {', '.join(there) or 'none'}")
        return found

    def copy_to(self, folder: Path) -> None:
        for name in self.files:
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.folder / name, folder / name)


def read(text: str) -> OwnLoss:
    """The loss that FILE.py:FUNCTION names; of a file with one function, FILE.py does.

    Raises:
        ValueError: there is no such file, or it is no Python.
    """
    name, colon, function = text.partition(":")
    path = Path(name).expanduser().absolute()
    if path.suffix != ".py" or not path.is_file():
        raise ValueError(f"a loss is FILE.py:FUNCTION, as my_loss.py:my_loss; there is no file {name!r}")
    if not path.stem.isidentifier():
        raise ValueError(f"{name} cannot be imported: its name must be a word, without spaces or hyphens")
    if path.stem in sys.stdlib_module_names:
        raise ValueError(f"{name} has the name of a module of Python itself; give the file another one")
    files = tuple(sorted(_with_imports(path.name, path.parent)))
    if not colon:
        tree = ast.parse(path.read_bytes())
        functions = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name[0] != "_"]
        if len(functions) != 1:
            raise ValueError(f"{name} has {len(functions)} functions; name one: {name}:FUNCTION")
        function = functions[0]
    return OwnLoss(f"{path.name}:{function}", path.parent, files)


def load(folder: Path, name: str, sha256: str) -> Callable[..., Any]:
    """The function from a run's copy of its files.

    Raises:
        ValueError: the copy is not there or is not what it was, or the function cannot be imported.
    """
    files = tuple(sorted(str(path.relative_to(folder)) for path in folder.rglob("*.py")))
    loss = OwnLoss(name, folder, files)
    if not files or loss.sha256 != sha256:
        raise ValueError(f"{folder} no longer holds the {name} of this run; `contrastbench try` copies it again")
    return loss.function()


def _with_imports(name: str, folder: Path, known: frozenset[str] = frozenset()) -> frozenset[str]:
    """The file and all that it imports from beside it, however far away; of a package every file."""
    if name in known:
        return known
    known |= {name}
    for module in _imported(folder / name):
        first = module.partition(".")[0]
        if first in sys.stdlib_module_names:
            continue
        if (folder / f"{first}.py").is_file():
            known = _with_imports(f"{first}.py", folder, known)
        elif (folder / first / "__init__.py").is_file():
            for path in sorted((folder / first).rglob("*.py")):
                known = _with_imports(str(path.relative_to(folder)), folder, known)
    return known


def _imported(path: Path) -> Iterator[str]:
    try:
        tree = ast.parse(path.read_bytes(), path.name)
    except (SyntaxError, ValueError) as error:
        where = f" line {error.lineno}" if isinstance(error, SyntaxError) else ""
        raise ValueError(f"{path.name}{where}: {error.msg if isinstance(error, SyntaxError) else error}") from None
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module


def described(error: BaseException, folder: Path | None = None) -> str:
    """``ValueError: what it says (my_loss.py line 7)``, in one line; the line is the last one below the folder."""
    told = " ".join(str(error).split()) or "without a word"
    told = told if len(told) <= LONGEST else f"{told[:LONGEST]} ..."
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if folder and Path(frame.filename).is_relative_to(folder)]
    where = f" ({Path(own[-1].filename).name} line {own[-1].lineno})" if own else ""
    return f"{type(error).__name__}: {told}{where}"


def settings_of(pairs: Iterable[str]) -> dict[str, Any]:
    """``temperature=0.2`` pairs as keyword arguments: numbers, True, False and None as such, all else as text."""
    settings: dict[str, Any] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not (name.isidentifier() and equals and text):
            raise ValueError(f"a setting is name=value, got {pair!r}")
        try:
            settings[name] = ast.literal_eval(text)
        except (ValueError, SyntaxError):
            settings[name] = text
    return settings


def check_settings(function: Callable[..., Any], settings: Mapping[str, Any]) -> None:
    """Whether the function can be called as ``function(z_a, z_b, **settings)``.

    Raises:
        ValueError: it takes no such setting, or needs one that is not given.
    """
    try:
        signature = inspect.signature(function)
        signature.bind(None, None, **settings)
    except TypeError as error:
        takes = list(signature.parameters)[2:]
        raise ValueError(f"{error}; it takes: {', '.join(takes) or 'two views and no setting'}") from None
