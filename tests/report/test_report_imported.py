"""The page of a network that was trained elsewhere."""

import pytest
from report_runs import read_page, record

from snnhw.report import write_report

IMPORTED = {
    "model": "net.nir", "data": "letters", "timesteps": 8, "test_samples": 200, "inputs": [2, 5], "same_decisions": 0.9375,
    "accuracy": {"float": 0.925, "integer": 0.915},
    "choices": {"dt": "0.0001 s, default for snntorch", "layer 'a<b>'": "Leaky, found by driving it"},
    "nodes": [{"name": "in", "kind": "Input, 2x5", "from": "", "shape": "2x5", "behaviour": ""},
              {"name": "a<b>", "kind": "Neuron", "from": "in, a<b>.delay", "shape": "4", "behaviour": "reset to zero, at once"}],
    "layers": [{"name": "a<b>", "saturated_words": 3, "agreement": 0.9775, "rate_float": 0.21, "rate_integer": 0.22}],
    "quantization": {
        "layers": [{"name": "fc", "kind": "Linear, 10 → 4", "weight_bits": 7, "scales": 4, "scale": [0.01, 0.02], "clipped": 12,
                    "relative_error": 0.0125, "sparsity": 0.25}],
        "neurons": [{"name": "a<b>", "neurons": 4, "decay": "v - (v >> 3)", "threshold": [299, 301], "state_bits": 17,
                     "observed_bits": 16}]},
}
EXPLAINED = {
    "samples": 3, "agreement": {"a<b>": {"float to fake": 0.9875, "fake to integer": 0.9925}},
    "difference": {"sample": 1, "timestep": 2, "layer": "a<b>", "neuron": 3, "spikes": {"float": 0, "integer": 1},
                   "threshold": 299, "cause": ["weights", "decay"],
                   "membranes": {"float": [1.5, 2.5, 298.5], "integer": [1, 2, 299]}},
}


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    folder = tmp_path_factory.mktemp("imported")
    record(folder, "import", IMPORTED)
    record(folder, "explain", EXPLAINED)
    return read_page(write_report(folder)).text


@pytest.mark.parametrize("said", [
    "91.50 %", "float 92.50 %", "Accuracy on the test split over 200 samples",
    "0.0001 s, default for snntorch", "Leaky, found by driving it", "in, a<b>.delay", "reset to zero, at once",
    "decide alike for 93.75 % of 200 samples", "Linear, 10 → 4", "0.01 .. 0.02", "1.25 %", "25.00 %", "299 .. 301", "97.75 %",
    "22.00 %", "98.75 %", "99.25 %", "First in layer 'a<b>', neuron 3, timestep 2 of sample 1: float gives 0, integer gives 1.",
    "Explained by: weights, decay.", "298.5", "it fires from 299",
])
def test_page_says(text, said):
    assert said in text


def test_a_network_of_integers_was_not_quantized(tmp_path):
    record(tmp_path, "import", IMPORTED | {"quantization": {}})
    page = read_page(write_report(tmp_path)).text
    assert "The network came in integers; nothing was quantized." in page
    assert "snnhw explain SOURCE RUN" in page


def test_a_trained_run_has_no_such_sections(tmp_path):
    record(tmp_path, "lower", {"accuracy": {"integer": 0.5}})
    assert "As it was read" not in read_page(write_report(tmp_path)).text
