"""Facts about models that were trained elsewhere: where they are looked for, and what is said where there are none."""

import shutil

import huggingface_hub
import numpy as np
import pytest
import safetensors.numpy

from contrastbench.data.pretrained import load_pretrained


def write_model(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    safetensors.numpy.save_file({"weights": np.arange(4.0)}, folder / "model.safetensors")


def test_a_model_is_a_name_in_the_data_root_or_a_whole_path(tmp_path):
    write_model(tmp_path / "models" / "mine")
    by_name, by_path = (load_pretrained(name, tmp_path) for name in ("mine", str(tmp_path / "models" / "mine")))
    assert by_name.folder == by_path.folder and by_name.sha256 == by_path.sha256


def test_any_model_of_the_hub_is_fetched_once_where_that_is_allowed(tmp_path, monkeypatch):
    asked = []

    def download(repository, local_dir, allow_patterns):
        asked.append(repository)
        write_model(local_dir)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with pytest.raises(ValueError, match="not found .*; allow the download: CONTRASTBENCH_DOWNLOAD=1"):
        load_pretrained("someone/tiny-bert", tmp_path, download=False)
    for name in ("someone/tiny-bert", "someone/tiny-bert", "bert-base-uncased"):
        load_pretrained(name, tmp_path, download=True)
    assert asked == ["someone/tiny-bert", "google-bert/bert-base-uncased"]


def test_what_is_no_model_gets_one_line(tmp_path, monkeypatch):
    (tmp_path / "empty").mkdir()
    monkeypatch.chdir(tmp_path)
    for name, message in (
        (str(tmp_path / "empty"), "is no transformers model: config.json and model.safetensors are needed"),
        (str(tmp_path / "nothing"), f"there is no folder {tmp_path}/nothing"),
        ("empty", f"model 'empty' must be a whole path, .*: {tmp_path}/empty"),
        ("bart", "unknown data set of pretrained 'bart'; there are: all-minilm-l6-v2"),
    ):
        with pytest.raises(ValueError, match=message) as caught:
            load_pretrained(name, tmp_path)
        assert "\n" not in str(caught.value)


def test_a_damaged_model_is_named_before_a_run_needs_it(tmp_path):
    for file, damage in (
        ("config.json", lambda whole: b"{"),
        ("config.json", lambda whole: b"\xff"),
        ("model.safetensors", lambda whole: whole[:-1]),
        ("model.safetensors", lambda whole: whole[:5]),
        ("model.safetensors", lambda whole: b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 10\n"),
    ):
        folder = tmp_path / "models" / "mine"
        write_model(folder)
        (folder / file).write_bytes(damage((folder / file).read_bytes()))
        with pytest.raises(ValueError, match=f"mine/{file} is damaged .*; put the whole model into .*mine$") as caught:
            load_pretrained("mine", tmp_path)
        assert "\n" not in str(caught.value)
        shutil.rmtree(folder)
