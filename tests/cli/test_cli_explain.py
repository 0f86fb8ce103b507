"""``snnhw explain``: floats, their rounded constants, integers and hardware side by side."""

import json

import pytest
from test_cli_import import sources

pytest.importorskip("nir")
__all__ = ["sources"]


@pytest.fixture
def imported(snnhw, sources, tmp_path):
    """Return a run folder with a float network in 3 bits, and one with integers."""
    folder = tmp_path / "imported"
    assert snnhw("import", sources / "floats.nir", "--samples", sources / "events.safetensors", "--out", folder / "floats",
                 "--bits", 3).code == 0
    assert snnhw("import", sources / "integers.nir", "--samples", sources / "still.safetensors", "--out", folder / "integers",
                 "--encoding", "accumulate", "--timesteps", 6).code == 0
    return folder


def test_names_the_first_difference_and_its_cause(snnhw, sources, imported):
    done = snnhw("explain", sources / "floats.nir", imported / "floats", "--json")
    assert (done.code, done.err) == (0, "")
    record = json.loads(done.out)
    assert json.loads((imported / "floats" / "explain.json").read_text()) == record
    results = record["results"]
    assert set(results["agreement"]) == {"if1", "if2"}
    assert results["difference"]["layer"] in ("if1", "if2")
    assert results["difference"]["cause"] == ["weights"]
    shown = snnhw("explain", sources / "floats.nir", imported / "floats")
    assert "float and integer first differ in layer 'if" in shown.out
    assert "explained by: weights" in shown.out


def test_runs_the_hardware_too(snnhw, sources, imported):
    done = snnhw("explain", sources / "floats.nir", imported / "floats", "--samples", 2, "--rtl", "--json")
    assert done.code == 0
    rtl = json.loads(done.out)["results"]["rtl"]
    assert rtl["samples"] == 2
    assert rtl["spike_mismatches"] == rtl["membrane_mismatches"] == rtl["output_mismatches"] == 0


def test_integers_have_nothing_to_part_from(snnhw, sources, imported):
    done = snnhw("explain", sources / "integers.nir", imported / "integers", "--json")
    assert (done.code, done.err) == (0, "")
    assert json.loads(done.out)["results"]["samples"] == 5  # all, as there are fewer than it takes by default
    assert "difference" not in json.loads(done.out)["results"]


def test_refuses_a_run_that_was_not_imported(snnhw, sources, imported):
    other = imported / "other"
    other.mkdir()
    for name in ("graph.safetensors", "samples.safetensors"):
        (other / name).write_bytes((imported / "floats" / name).read_bytes())
    done = snnhw("explain", sources / "floats.nir", other)
    assert (done.code, done.err) == (2, f"error: record {str(other / 'import.json')!r} does not exist\n")
    (other / "import.json").write_text('{"results": {}}')
    done = snnhw("explain", sources / "floats.nir", other)
    message = f"error: record {str(other / 'import.json')!r} must be one that snnhw import wrote\n"
    assert (done.code, done.err) == (2, message)
