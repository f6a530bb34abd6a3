"""A loss of the user's own: what the checks say of good and of wrong ones, and how its files are told apart."""

import pytest
import torch
from torch.nn.functional import normalize

import contrastbench
from benchmarks.loss_arena.losses import LOSSES
from benchmarks.loss_arena.tables import RIVALS
from contrastbench.losses import checking, own


def plain(z_a, z_b, *, temperature=0.5):
    """NT-Xent's one direction, written as a user would."""
    z_a, z_b = normalize(z_a, dim=1, eps=1e-20), normalize(z_b, dim=1, eps=1e-20)
    return torch.nn.functional.cross_entropy(z_a @ z_b.T / temperature, torch.arange(len(z_a)))


def outcomes(loss, **settings):
    found = contrastbench.check_loss(loss, **settings).set_index("check")
    return found["outcome"].to_dict(), found["finding"].to_dict()


def test_a_right_loss_passes_every_check():
    outcome, finding = outcomes(plain, temperature=0.2)
    assert set(outcome.values()) <= {"ok", "yes", "no"}, finding
    assert outcome["same for swapped views"] == "no"
    assert outcome["same for other norms"] == "yes"
    assert "NT-Xent" in finding["time and memory"]


@pytest.mark.parametrize("method", RIVALS)
def test_no_loss_of_the_catalogue_fails_a_check(method, monkeypatch):
    monkeypatch.setattr(checking, "BATCHES", (2, 64))
    rival = RIVALS[method]
    outcome, finding = outcomes(LOSSES[rival.loss], **own.settings_of(rival.settings))
    assert "fails" not in outcome.values(), finding


def prints(z_a, z_b):
    print("loss called")
    return plain(z_a, z_b)


def writes_over_its_input(z_a, z_b):
    return plain(z_a.mul_(2), z_b)


def writes_late(z_a, z_b):
    z_a /= z_a.norm(dim=1, keepdim=True)
    return plain(z_a, z_b)


def reads_a_missing_gpu(z_a, z_b):
    raise AssertionError("Torch not compiled with CUDA enabled")


def nan_for_equal_items(z_a, z_b):
    apart = (z_a[:, None] - z_a).norm(dim=2) + torch.eye(len(z_a))
    return plain(z_a, z_b) + (apart / apart).mean() - 1


WRONG = {
    "a vector": (
        lambda a, b: (a * b).sum(1),
        {"one number": "returns shape [2] at [2, 4], not one number; take the mean"},
    ),
    "a float": (lambda a, b: plain(a, b).item(), {"one number": "returns float at [2, 4], not a tensor"}),
    "detached": (
        lambda a, b: plain(a, b).detach(),
        {"gradient": "the result is detached from both views at [8, 16]: nothing can be learned from it"},
    ),
    "one view": (
        lambda a, b: plain(a, a.flip(1)),
        {"gradient": "no gradient reaches z_b at [8, 16]: it has no part in the value"},
    ),
    "one view detached": (
        lambda a, b: plain(a, b.detach()),
        {"gradient": "no gradient reaches z_b at [8, 16]: the value depends on it; is it detached?"},
    ),
    "a GPU": (
        reads_a_missing_gpu,
        {"one number": "raises AssertionError: Torch not compiled with CUDA enabled (test_checking.py line "},
    ),
    "divided twice": (
        lambda a, b: plain(a, b) / len(a),
        {"mean over the batch": "times: is it divided by the batch twice?"},
    ),
    "a sum": (lambda a, b: plain(a, b) * len(a), {"mean over the batch": "is it a sum and not a mean?"}),
    "random": (
        lambda a, b: plain(a, b) + torch.rand(()),
        {"same result twice": "for the same views at [2, 4]"},
    ),
    "in place, so that no gradient comes back": (
        writes_late,
        {"gradient": "it writes over what its own gradient needs at [8, 16]; work on a copy"},
    ),
    "in place": (writes_over_its_input, {"input unchanged": "it writes over z_a at [2, 4]; work on a copy"}),
    "prints": (prints, {"prints nothing": "it prints 'loss called' at every step"}),
    "NaN at equal items": (nan_for_equal_items, {"equal items": "the loss is nan at [2, 4]"}),
    "no normalisation": (
        lambda a, b: torch.nn.functional.cross_entropy((a @ b.T).exp(), torch.arange(len(a))),
        {"huge norms": " at [2, 4]"},
    ),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_loss_is_named_with_the_smallest_input(kind, monkeypatch):
    monkeypatch.setattr(checking, "BATCHES", (2, 16))
    loss, expected = WRONG[kind]
    outcome, finding = outcomes(loss)
    for check, text in expected.items():
        assert outcome[check] == "fails"
        assert text in finding[check]
        assert "\n" not in finding[check]


def test_a_failure_does_not_stop_the_other_checks(monkeypatch):
    monkeypatch.setattr(checking, "BATCHES", (2, 16))
    outcome, _ = outcomes(lambda a, b: plain(a, b) / len(a) + torch.rand(()))
    assert outcome["same result twice"] == outcome["mean over the batch"] == "fails"
    assert outcome["zero vectors"] == "ok"


def test_a_setting_that_the_loss_does_not_have_is_named():
    with pytest.raises(ValueError, match=r"unexpected keyword argument 'beta'; it takes: temperature"):
        contrastbench.check_loss(plain, beta=1)


# ----------------------------------------------------------------------------------------------------------- its files

TEXT = "from helpers import double\n\ndef loss(z_a, z_b, *, t=1.0):\n    return double((z_a * z_b).sum() * t)\n"
HELPERS = "def double(x):\n    return 2 * x\n"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "my_loss.py").write_text(TEXT)
    (tmp_path / "helpers.py").write_text(HELPERS)
    (tmp_path / "other.py").write_text("")
    return tmp_path


def test_a_loss_is_its_file_and_what_it_imports_from_beside_it(folder):
    loss = own.read(f"{folder}/my_loss.py:loss")
    assert loss.files == ("helpers.py", "my_loss.py")
    before = loss.sha256
    (folder / "other.py").write_text("changed = True\n")
    assert loss.sha256 == before
    (folder / "helpers.py").write_text(HELPERS + "# a comment\n")
    assert loss.sha256 != before


def test_of_a_file_with_one_function_its_name_is_enough(folder):
    assert own.read(f"{folder}/my_loss.py").name == "my_loss.py:loss"


def test_a_copy_computes_what_the_file_did_though_it_changes(folder, tmp_path):
    loss, copy = own.read(f"{folder}/my_loss.py:loss"), tmp_path / "run" / "loss"
    sha256 = loss.sha256
    loss.copy_to(copy)
    (folder / "helpers.py").write_text("def double(x):\n    return 3 * x\n")
    z = torch.ones(2, 2)
    assert loss.function()(z, z) == 12
    assert own.load(copy, loss.name, sha256)(z, z) == 8


def test_a_copy_that_was_changed_is_refused(folder, tmp_path):
    loss = own.read(f"{folder}/my_loss.py:loss")
    sha256 = loss.sha256
    loss.copy_to(tmp_path / "copy")
    (tmp_path / "copy" / "helpers.py").write_text("def double(x):\n    return 3 * x\n")
    with pytest.raises(ValueError, match="no longer holds the my_loss.py:loss of this run"):
        own.load(tmp_path / "copy", loss.name, sha256)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "no_file.py:loss", "there is no file"),
        ("def loss(z_a z_b):\n    pass\n", "wrong.py:loss", "wrong.py line 1: invalid syntax"),
        (
            "import a_missing_module\ndef loss(a, b): pass\n",
            "wrong.py:loss",
            "cannot be imported: ModuleNotFound",
        ),
        ("def loss(a, b): pass\n", "wrong.py:lost", "wrong.py has no function 'lost'; it has: loss"),
        ("raise SystemExit(3)\n", "wrong.py:loss", "wrong.py cannot be imported: SystemExit: 3 .wrong.py line 1"),
        ("a = b = 1\n", "wrong.py", "wrong.py has 0 functions; name one"),
        (None, "random.py:loss", "random.py has the name of a module of Python itself"),
    ],
)
def test_a_file_that_cannot_be_used_is_named_in_one_line(tmp_path, text, name, message):
    (tmp_path / "random.py").write_text("def loss(a, b): pass\n")
    if text:
        (tmp_path / "wrong.py").write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        own.read(f"{tmp_path}/{name}").function()
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("pair", "value"), [("a=1", 1), ("a=0.5", 0.5), ("a=True", True), ("a=hard", "hard"), ("a=None", None)]
)
def test_a_setting_is_read_as_python_or_as_text(pair, value):
    assert own.settings_of([pair]) == {"a": value}
