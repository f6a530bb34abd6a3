"""Errors name the argument, the value and the range."""

import pytest
import torch

from contrastbench import losses

Z = torch.ones(4, 3)
OK = {"temperature": 0.5, "tau_plus": 0.1}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: losses.nt_xent(Z, Z[:3], temperature=1), r"one shape, got \[4, 3\] and \[3, 3\]"),
        (lambda: losses.nt_xent(Z[:1], Z[:1], temperature=1), r"z_a must be \[rows >= 2, D >= 1\], got \[1, 3\]"),
        (lambda: losses.dcl(Z, Z, temperature=1, tau_plus=1), r"tau_plus must be in \[0, 1\), got 1"),
        (lambda: losses.dcl(Z, Z, temperature=1, tau_plus=-0.1), r"tau_plus must be in \[0, 1\), got -0.1"),
        (lambda: losses.hcl(Z, Z, **OK, beta=-1), r"beta must be in \[0, 1e\+06\], got -1"),
        (lambda: losses.hcl(Z, Z, **OK, beta=float("inf")), r"beta must be in \[0, 1e\+06\], got inf"),
        (lambda: losses.bcl(Z, Z, **OK, alpha=0.4, beta=0.5), r"alpha must be in \[0.5, 1\], got 0.4"),
        (lambda: losses.bcl(Z, Z, **OK, alpha=0.6, beta=1.5), r"beta must be in \[0.5, 1\], got 1.5"),
        (lambda: losses.bcl(Z, Z, **OK, alpha=1, beta=1), "must not both be 1.*every weight would be 0"),
        (lambda: losses.dcl_many_positives(Z, Z, Z, **OK), r"more_positives must be \[M - 1, 4, 3\], got \[4, 3\]"),
        (lambda: losses.sup_con(Z, torch.arange(4), temperature=1), "give some row a positive"),
        (lambda: losses.sup_con(Z, torch.arange(3), temperature=1), r"labels must be \[4\], got \[3\]"),
        (lambda: losses.drlim(Z, Z, torch.zeros(4), margin=1), "different must be boolean"),
        (lambda: losses.drlim(Z, Z, torch.zeros(4) > 0, margin=0), r"margin must be in \[1e-06, 1e\+06\], got 0"),
        (
            lambda: losses.margin_pairs(Z, Z, torch.zeros(4) > 0, positive_margin=2, negative_margin=1),
            r"positive_margin must be in \[0, 1\), got 2",
        ),
        (
            lambda: losses.mochi(Z, Z, hardest=5, mixed=1, mixed_with_query=1, rng=torch.Generator()),
            r"hardest must be in \[1, 4\], the length of the queue, got 5",
        ),
        (lambda: losses.ncl(Z, Z, Z, neighbours=9), r"neighbours must be in \[1, 4\]"),
        (lambda: losses.ncl(Z, Z, Z, neighbours=2, variant="x"), "variant must be as_paper or as_code, got 'x'"),
        (
            lambda: losses.hard_negative_generation(Z, Z, Z, safe=2, rounds=1, keep=5, rng=torch.Generator()),
            r"keep must be in \[1, 2 \* rounds \* safe = 4\], got 5",
        ),
        (
            lambda: losses.info_nce(Z, Z, torch.ones(2, 5, 3), temperature=1),
            r"negatives must be \[K, D\] or \[4, K, D\]",
        ),
        (lambda: losses.quick_thoughts(Z, Z, context=4), r"context must be in \[1, 3\], got 4"),
        (lambda: losses.proto_nce(Z, Z, Z, clusterings=[], temperature=1), "at least one clustering"),
        (lambda: losses.uniformity(Z, t=0), r"t must be in \[1e-06, 1e\+06\], got 0"),
        (lambda: losses.alignment(Z, Z, exponent=101), r"exponent must be in \[1e-06, 100\], got 101"),
        (lambda: losses.hard_jsd(Z, torch.arange(4) % 3, beta=-1e7), r"beta must be in \[-1e\+06, 1e\+06\], got -1"),
        (
            lambda: losses.nce(Z[:, 0], Z[:, 0], Z[:, :0], Z[:, :0]),
            r"noise_scores \[B, k\] with B and k at least 1, got \[4\] and \[4, 0\]",
        ),
        (
            lambda: losses.Clustering(Z, torch.tensor([1.0, 1, 1, 0]), torch.arange(4)),
            r"concentration must be \[4\], each in \[1e-06, 1e\+06\], got \[4\] from 0.0 to 1.0",
        ),
        (lambda: losses.hardness_weights(Z, float("nan")), "beta must be in .*, got nan"),
        (lambda: losses.info_nce_of_scores(torch.ones(4, 3)), r"N >= B, got \[4, 3\]"),
    ],
)
def test_wrong_arguments_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_whole_numbers_are_refused():
    with pytest.raises(TypeError, match="z_a must hold floating point numbers, got torch.int64"):
        losses.nt_xent(Z.long(), Z.long(), temperature=1)
