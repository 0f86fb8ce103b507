"""The claims: each function runs on small data, and what it returns follows from its own rows."""

import json

import numpy as np
import pytest
from stdp_networks import small_data

from snnhw.stdp.studies import CLAIMS


@pytest.fixture(scope="module")
def found():
    """Return the result of every claim on images of three patterns, and what was said meanwhile."""
    data, said = small_data(samples=80, inputs=49, levels=255), []
    results = {name: claim(data, (1, 2), lambda *words: said.append(words), train=64, test=40) for name, claim in CLAIMS.items()}
    return results, said


def test_results_are_plain_and_name_their_claim(found):
    results, said = found
    for name, result in results.items():
        json.dumps(result, allow_nan=False)
        assert result["claim"] == name
        assert {"text", "paper", "ours", "holds", "rows", "seeds", "neurons", "train_samples", "test_samples"} <= set(result)
        assert [row["seed"] for row in result["rows"]] == result["seeds"] == [1, 2]
        assert any(words[0] == name and words[2] == 2 for words in said)


def test_c1_counts_every_word(found):
    ours, rows = found[0]["C1"]["ours"], found[0]["C1"]["rows"]
    words, neurons = 49 * 100, 100
    assert ours["memory_ratio"] == 32 * (words + 1 + 2 * neurons) / (8 * words + 18 * (1 + neurons) + 11 * neurons)
    assert ours["loss"]["mean"] == pytest.approx(np.mean([row["float32"] - row[row["best"]] for row in rows]))


def test_c3_holds_only_if_states_need_more(found):
    result = found[0]["C3"]
    bits = result["ours"]["smallest_bits"]
    wider = [None not in triple and min(triple[1:]) > triple[0] for triple in zip(*bits.values(), strict=True)]
    assert result["holds"] == all(wider)


def test_c4_spreads_are_between_roundings(found):
    ours = found[0]["C4"]["ours"]
    for when in ("after", "training"):
        for width in ("4", "8"):
            means = [ours["mean"][when][f"{width} {rounding}"] for rounding in ("truncate", "nearest", "stochastic")]
            assert ours["spread_between_roundings"][when][width] == pytest.approx(max(means) - min(means))


def test_c5_counts_fewer_operations(found):
    ours = found[0]["C5"]["ours"]
    assert ours["neuron_updates_ratio"]["mean"] == 2
    assert ours["weight_updates_ratio"]["lowest"] > 1
    assert ours["memory_ratio"]["4900"] > ours["memory_ratio"]["400"] > 1
