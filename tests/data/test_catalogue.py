"""The catalogue: what the modules of kinds/ declare, and the user's own data sets in a data root."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from contrastbench.data import catalogue, kinds
from contrastbench.data.kinds import Copy, DataSet, Kind

GRAPHS = {"A": "1, 2\n2, 1\n3, 4\n4, 3\n", "graph_indicator": "1\n1\n2\n2\n", "graph_labels": "1\n2\n"}


def write_graphs(folder: Path, name: str) -> None:
    folder.mkdir(parents=True)
    for suffix, text in GRAPHS.items():
        (folder / f"{name}_{suffix}.txt").write_text(text)


def test_every_module_of_kinds_is_a_kind() -> None:
    modules = {path.stem for path in Path(kinds.__file__).parent.glob("*.py")} - {"__init__"}
    assert set(catalogue.KINDS) == modules
    assert [entry.name for kind in catalogue.KINDS.values() for entry in kind.data_sets] == list(catalogue.DATA_SETS)


def test_a_new_kind_needs_only_its_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = """
from contrastbench.data.kinds import Copy, DataSet, Kind
known = {"ab": Copy("the first pressing")}
KIND = Kind("sounds", "a.module:load", (DataSet("bells", "sounds", "3 bells", "a tower", "CC0", known=known),))
"""
    (tmp_path / "sounds.py").write_text(module)
    monkeypatch.setattr(kinds, "__path__", [*kinds.__path__, str(tmp_path)])
    found = catalogue._kinds()
    assert found["sounds"].data_sets[0].known == {"ab": Copy("the first pressing")}
    assert list(found)[:2] == ["graphs", "images"]


def test_a_name_is_declared_once(monkeypatch: pytest.MonkeyPatch) -> None:
    twice = (DataSet("bells", "sounds", "", "", ""), DataSet("bells", "sounds", "", "", ""))
    monkeypatch.setattr(catalogue, "KINDS", {"sounds": Kind("sounds", "a.module:load", twice)})
    with pytest.raises(ValueError, match="data set 'bells' of sounds is declared twice"):
        catalogue._by_name()


def test_own_graphs_in_the_data_root_are_found_described_and_loaded(tmp_path: Path) -> None:
    write_graphs(tmp_path / "FRIENDS", "FRIENDS")
    write_graphs(tmp_path / "tu" / "FOES" / "raw", "FOES")
    write_graphs(tmp_path / "MUTAG", "MUTAG")
    (tmp_path / "letters.zip").write_text("not a zip")
    with zipfile.ZipFile(tmp_path / "other.zip", "w") as archive:
        archive.writestr("other.txt", "")
    assert sorted(own.name for own in catalogue.find_own(tmp_path)) == ["FOES", "FRIENDS"]
    assert catalogue.describe("FOES", root=tmp_path).kind == "graphs"
    assert len(catalogue.load("FRIENDS", tmp_path)) == 2


def test_an_unknown_name_is_answered_with_what_there_is(tmp_path: Path) -> None:
    write_graphs(tmp_path / "FRIENDS", "FRIENDS")
    with pytest.raises(ValueError, match="unknown data set 'FIENDS'; .*, the nearest: FRIENDS, .*; your own are"):
        catalogue.load("FIENDS", tmp_path)


def test_a_copy_that_is_not_the_published_data_carries_a_mark() -> None:
    (cifar_copy,) = catalogue.DATA_SETS["cifar10"].known
    assert catalogue.copy_of("cifar10", cifar_copy).mark == "JPEG copy of the data"
    assert catalogue.copy_of("cifar10", "0" * 64).words == "a copy that the catalogue does not know"
    assert all(not copy.mark for copy in catalogue.DATA_SETS["MUTAG"].known.values())


def test_without_gensim_the_sets_of_its_texts_are_not_here(tmp_path: Path) -> None:
    """As on Python 3.14, for which it has no wheels: what needs them is refused before a run starts."""
    code = f"""
import sys
sys.modules["gensim"] = None
from importlib import util
util.find_spec = lambda name, find=util.find_spec: None if name == "gensim" else find(name)
from contrastbench.data import catalogue
names = ("gensim_text", "gensim_sequences", "Lee", "polarity")
print([catalogue.is_here(catalogue.DATA_SETS[name], {str(tmp_path)!r}) for name in names])
for name in names:
    try:
        catalogue.load(name, {str(tmp_path)!r})
    except ValueError as error:
        print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
    assert told == ["[False, False, False, False]", *["package 'gensim' is not installed: pip install gensim"] * 4]


def test_what_the_user_may_not_read_hides_no_other_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_graphs(tmp_path / "FRIENDS", "FRIENDS")
    write_graphs(tmp_path / "tu" / "SECRET", "SECRET")
    (tmp_path / "secret" / "rose").mkdir(parents=True)
    (tmp_path / "secret.txt").write_text("1 2 3 4")
    may_look, may_read = Path.iterdir, os.access

    def iterdir(place: Path):
        if place.name.lower() == "secret":
            raise PermissionError(13, "Permission denied", str(place))
        return may_look(place)

    monkeypatch.setattr(Path, "iterdir", iterdir)
    monkeypatch.setattr(os, "access", lambda place, mode: Path(place).stem != "secret" and may_read(place, mode))
    assert [own.name for own in catalogue.find_own(tmp_path)] == ["FRIENDS"]
