"""Facts about text encoders: the stacked GRU is PyTorch's, padding is never seen; pretrained models and poolers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from contrastbench.encoders.pretrained_text import POOLERS, pretrained_encoder
from contrastbench.encoders.text import GruEncoder, draw_weights, expand_words, two_encoders
from contrastbench.randomness import generator

LENGTHS = torch.tensor([7, 3, 1, 5])


def tokens_of(lengths: torch.Tensor, words: int = 30, width: int = 0) -> torch.Tensor:
    tokens = torch.randint(2, words, (len(lengths), max(width, int(lengths.max()))), generator=generator(1, "words"))
    return tokens * (torch.arange(tokens.shape[1]) < lengths[:, None])


def test_the_stacked_gru_is_pytorch_s_bidirectional_gru():
    encoder = GruEncoder(30, 6, 8)
    draw_weights(encoder, generator(0, "weights"))
    reference = torch.nn.GRU(6, 4, batch_first=True, bidirectional=True)
    with torch.no_grad():
        for direction, suffix in enumerate(("", "_reverse")):
            getattr(reference, f"weight_ih_l0{suffix}").copy_(encoder.from_word[direction].T)
            getattr(reference, f"weight_hh_l0{suffix}").copy_(encoder.from_state[direction].T)
            getattr(reference, f"bias_ih_l0{suffix}").copy_(encoder.word_bias[direction, 0])
            getattr(reference, f"bias_hh_l0{suffix}").copy_(encoder.state_bias[direction, 0])
    tokens = tokens_of(LENGTHS)
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        encoder.embedding(tokens), LENGTHS, batch_first=True, enforce_sorted=False
    )
    expected = torch.cat(list(reference(packed)[1]), dim=1)
    torch.testing.assert_close(encoder(tokens, LENGTHS), expected)


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_padding_is_never_seen(name):
    encoder = two_encoders(name, 30, 8, 8, rng=generator(0, "weights")).eval()
    tokens = tokens_of(LENGTHS, width=12)
    changed = torch.where(tokens == 0, torch.full_like(tokens, 29), tokens)
    torch.testing.assert_close(encoder(tokens, LENGTHS), encoder(changed, LENGTHS))
    torch.testing.assert_close(encoder(tokens[:, :7], LENGTHS), encoder(tokens, LENGTHS))


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_two_encoders_are_two(name):
    encoder = two_encoders(name, 30, 8, 8, rng=generator(0, "weights")).eval()
    first, second = encoder(tokens_of(LENGTHS), LENGTHS).chunk(2, dim=1)
    assert first.shape == (4, 8) and (first - second).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_weights_follow_from_the_generator_alone(name):
    torch.manual_seed(0)
    one = two_encoders(name, 30, 8, 8, rng=generator(0, "weights")).state_dict()
    torch.manual_seed(1)
    other = two_encoders(name, 30, 8, 8, rng=generator(0, "weights")).state_dict()
    assert all(torch.equal(one[key], other[key]) for key in one)
    assert all(value.isfinite().all() and value.abs().max() <= 1 for value in one.values())


@pytest.mark.parametrize("name", ["gru", "transformer"])
def test_a_step_goes_through_on_device_meta(name):
    encoder = two_encoders(name, 30, 8, 8, rng=generator(0, "weights")).to("meta")
    encoder(torch.zeros(4, 7, dtype=torch.long, device="meta"), LENGTHS.to("meta")).sum().backward()


def test_bad_shapes_and_names_get_one_line():
    rng = generator(0, "weights")
    with pytest.raises(ValueError, match="unknown text encoder 'lstm'; there are: gru, transformer"):
        two_encoders("lstm", 30, 8, 8, rng=rng)
    with pytest.raises(ValueError, match="width must be even"):
        two_encoders("gru", 30, 8, 7, rng=rng)
    with pytest.raises(ValueError, match="words are as wide as its output; got 6 and 8"):
        two_encoders("transformer", 30, 6, 8, rng=rng)


def test_expansion_finds_the_linear_map():
    rng = np.random.default_rng(0)
    vectors, wanted = torch.from_numpy(rng.standard_normal((50, 5))), torch.from_numpy(rng.standard_normal((4, 5)))
    turn = torch.from_numpy(rng.standard_normal((5, 3)))
    torch.testing.assert_close(expand_words(vectors @ turn, vectors, wanted), wanted @ turn)
    with pytest.raises(ValueError, match="known must be"):
        expand_words(vectors, vectors[:3], wanted)


def tiny_bert(folder: Path, words: int = 40, tokenizer_words: int = 40) -> Path:
    """A BERT of two layers with random weights, and a tokenizer, as transformers saves them."""
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder.mkdir(parents=True, exist_ok=True)
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=words, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32
    )
    BertModel(config).save_pretrained(folder)
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    listed = [*special, "a", "cat", "sat", *(f"w{number}" for number in range(tokenizer_words - 8))]
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(listed) + "\n")
    BertTokenizerFast(vocab_file=str(vocabulary), vocab=str(vocabulary)).save_pretrained(folder)
    return folder


@pytest.mark.parametrize("pooler", POOLERS)
def test_poolers_do_not_see_padding(pooler, tmp_path):
    encoder, tokenize = pretrained_encoder(tiny_bert(tmp_path), pooler=pooler, longest=8, rng=generator(0, "weights"))
    encoder.eval()
    tokens = tokens_of(LENGTHS, 40, width=12)
    torch.testing.assert_close(encoder.features(tokens[:, :7], LENGTHS), encoder.features(tokens, LENGTHS))
    assert encoder.features(tokens, LENGTHS).shape == (4, 16)


def test_the_pooler_s_layer_is_dropped_in_tests_only_where_it_says_so(tmp_path):
    folder, tokens = tiny_bert(tmp_path), tokens_of(LENGTHS, 40)
    made = {
        pooler: pretrained_encoder(folder, pooler=pooler, longest=8, rng=generator(0, "weights"))[0].eval()
        for pooler in ("cls", "cls_before_pooler")
    }
    torch.testing.assert_close(made["cls"](tokens, LENGTHS), made["cls_before_pooler"](tokens, LENGTHS))
    assert torch.equal(made["cls"](tokens, LENGTHS), made["cls"].features(tokens, LENGTHS))
    assert not torch.equal(
        made["cls_before_pooler"](tokens, LENGTHS), made["cls_before_pooler"].features(tokens, LENGTHS)
    )


def test_first_last_is_the_mean_of_the_first_and_the_last_layer_s_words(tmp_path):
    folder, tokens = tiny_bert(tmp_path), tokens_of(LENGTHS, 40)
    encoder, _ = pretrained_encoder(folder, pooler="avg_first_last", longest=8, rng=generator(0, "weights"))
    encoder.eval()
    there = (torch.arange(7) < LENGTHS[:, None]).long()
    states = encoder.model(input_ids=tokens, attention_mask=there, output_hidden_states=True).hidden_states
    words = (states[1] + states[-1])[3, :5] / 2
    torch.testing.assert_close(encoder.features(tokens, LENGTHS)[3], words.mean(dim=0))


def test_only_the_first_layers_are_kept(tmp_path):
    encoder, _ = pretrained_encoder(tiny_bert(tmp_path), pooler="avg", longest=8, rng=generator(0, "weights"), layers=1)
    assert len(encoder.model.encoder.layer) == 1
    with pytest.raises(ValueError, match=r"between 1 and what the model has \(2 layers\), got 3"):
        pretrained_encoder(tmp_path, pooler="avg", longest=8, rng=generator(0, "weights"), layers=3)


def test_a_model_without_tokenizer_or_with_another_s_gets_one_line(tmp_path):
    rng = generator(0, "weights")
    with pytest.raises(ValueError, match="no transformers model at") as caught:
        pretrained_encoder(tmp_path / "nothing", pooler="avg", longest=8, rng=rng)
    assert "\n" not in str(caught.value)
    bare = tiny_bert(tmp_path / "bare")
    for file in bare.iterdir():
        if "token" in file.name or file.name == "vocab.txt":
            file.unlink()
    with pytest.raises(ValueError, match=r"has no tokenizer \(looked for tokenizer.json, vocab.txt\)") as caught:
        pretrained_encoder(bare, pooler="avg", longest=8, rng=rng)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="has 60 word pieces, its model 40: they do not belong together"):
        pretrained_encoder(tiny_bert(tmp_path / "other", tokenizer_words=60), pooler="avg", longest=8, rng=rng)
    padded = tiny_bert(tmp_path / "padded")
    (padded / "config.json").write_text(
        (padded / "config.json").read_text().replace('"pad_token_id": 0', '"pad_token_id": 1')
    )
    with pytest.raises(ValueError, match="has padding token 0, its model 1: they do not belong together"):
        pretrained_encoder(padded, pooler="avg", longest=8, rng=rng)
    with pytest.raises(ValueError, match="unknown pooler 'max'; there are: cls, cls_before_pooler"):
        pretrained_encoder(bare, pooler="max", longest=8, rng=rng)
    assert json.loads((bare / "config.json").read_text())["vocab_size"] == 40
