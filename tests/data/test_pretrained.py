"""Facts about models that were trained elsewhere: where they are looked for, and what is said where there are none."""

import huggingface_hub
import pytest

from contrastbench.data.pretrained import load_pretrained


def write_model(folder):
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    (folder / "model.safetensors").write_bytes(b"weights")


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
