"""One neuron as eleven simulators and chips ran it, and as our rules for them run it."""

import importlib.util
import os
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("h5py")
ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(os.environ.get("SNNHW_DATA", ROOT.parent / "shared" / "data")) / "models" / "nir"
SPEC = importlib.util.spec_from_file_location("lif_table", ROOT / "scripts" / "lif_table.py")
lif_table = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(lif_table)
# Largest difference of the voltages, in the unit of the trace; docs/discretization.md says where the larger ones come from.
LIMITS = {"lava_cpu_fixed": 0, "lava_loihi_fixed": 128, "spinnaker2": 1e-3, "exact": 7e-3}

pytestmark = pytest.mark.skipif(not (FOLDER / "reference" / "lif").is_dir(), reason=(
    "needs lif_norse.nir, lif_rockpool.nir and reference/lif of the NIR paper: set SNNHW_DATA to the folder with models/nir"))


@pytest.mark.parametrize("tool", lif_table.RULES)
def test_spike_times_are_those_of_the_tool(tool):
    recorded, ours, difference = lif_table.compare(tool, FOLDER)
    assert len(recorded) == 4
    assert np.array_equal(recorded, ours)
    assert difference <= LIMITS.get(tool, 1e-6)


@pytest.mark.parametrize(("tool", "rule"), [("norse", "rockpool"), ("rockpool", "spinnaker2"), ("sinabs", "spinnaker2")])
def test_the_rule_of_another_tool_gives_other_spikes(monkeypatch, tool, rule):
    monkeypatch.setitem(lif_table.RULES, tool, lif_table.RULES[rule])
    recorded, ours, _ = lif_table.compare(tool, FOLDER)
    assert not np.array_equal(recorded, ours)


def test_the_page_shows_the_table():
    assert lif_table.BEGIN + "\n" + lif_table.table(FOLDER) + "\n" + lif_table.END in lif_table.PAGE.read_text()
