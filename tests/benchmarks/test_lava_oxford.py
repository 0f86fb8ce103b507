"""A network that others trained for Loihi: all of its recorded spikes, and not one more."""

import os
from pathlib import Path

import numpy as np
import pytest
from oxford import FILES, load_oxford

from snnhw.reference import run

pytest.importorskip("h5py")
ROOT = Path(__file__).resolve().parent.parent.parent
FOLDER = Path(os.environ.get("SNNHW_DATA", ROOT.parent / "shared" / "data")) / "models" / "lava" / "oxford"


@pytest.mark.skipif(not all((FOLDER / name).is_file() for name in FILES), reason=(
    f"needs {', '.join(FILES)} of Lava's Oxford example: set SNNHW_DATA to the folder that contains models/lava/oxford"))
def test_recorded_spikes_are_reproduced():
    graph, spikes, expected = load_oxford(FOLDER)
    trace = run(graph, spikes)
    assert expected.sum() == 10178
    assert np.array_equal(trace.output_spikes, expected)
    assert all(not counts.saturations.any() for counts in trace.counts.values())
