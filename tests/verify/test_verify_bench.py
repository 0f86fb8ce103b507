"""The bench that ships with a core: run as a user runs it, from the output folder, without the generator."""

import json
import shutil
import subprocess
import sys

import pytest
import pywellen
from verify_networks import small_plan, spikes_for

from rtl_gen import generate
from snnhw.verify import BenchRun, make_vectors, run_bench

needs_icarus = pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is MISSING")


@pytest.fixture(scope="module")
def hardware(tmp_path_factory):
    """Return an output folder with five samples."""
    folder = tmp_path_factory.mktemp("bench") / "hw"
    plan = small_plan()
    generate(plan, folder, vectors=make_vectors(plan, spikes_for(plan)))
    return folder


def start(folder, *options):
    return subprocess.run([sys.executable, folder / "sim" / "run.py", *options], capture_output=True, text=True, check=False)


@needs_icarus
def test_a_folder_proves_itself_on_icarus(hardware):
    done = start(hardware, "--simulator", "icarus")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((hardware / "sim" / "build" / "icarus" / "bench.json").read_text())
    assert set(results) == {"undisturbed", "stalled", "interrupted"}
    words = 6 * 14
    for name, samples in (("undisturbed", 5), ("stalled", 5), ("interrupted", 2)):
        counts = results[name]
        assert counts["failure"] == ""
        assert (counts["samples"], counts["spike_words"], counts["membrane_words"]) == (samples, samples * words, samples * words)
    assert results["undisturbed"]["cycle_counts"] == 5
    assert "3 of 3 tests passed" in done.stdout


def test_a_folder_proves_itself_on_verilator(hardware):
    done = start(hardware, "--simulator", "verilator", "--samples", "2", "--seed", "5")
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((hardware / "sim" / "build" / "verilator" / "bench.json").read_text())
    assert [counts["samples"] for counts in results.values()] == [2, 2, 2]
    assert not any(counts["failure"] for counts in results.values())


@needs_icarus
@pytest.mark.parametrize("changes", [{"load_weights": True}, {"clear": "never"},
                                     {"inputs": 1, "hidden": 1, "outputs": 1, "lanes": 1}])
def test_other_kinds_of_networks_pass(tmp_path, changes):
    plan = small_plan(**changes)
    generate(plan, tmp_path / "hw")
    result = run_bench(tmp_path / "hw", make_vectors(plan, spikes_for(plan)), simulator="icarus", seed=9)
    assert result.problem is None, result.log
    assert len(result.tests) == 3


@needs_icarus
def test_waves_show_the_traces_of_each_layer(hardware, tmp_path):
    plan = small_plan()
    vectors = make_vectors(plan, spikes_for(plan, samples=1))
    result = run_bench(hardware, vectors, simulator="icarus", waves=tmp_path / "waves.fst")
    assert result.problem is None
    names = {str(name) for name in map(variable_name, pywellen.Waveform(str(tmp_path / "waves.fst")).all_vars())}
    assert {f"snnhw_top.layer{k}.trace_membrane" for k in range(2)} <= names


def variable_name(variable):
    name = variable.full_name
    return name() if callable(name) else name


@needs_icarus
def test_a_wrong_vector_is_named_with_both_traces(hardware, tmp_path):
    vectors = json.loads((hardware / "sim" / "vectors.json").read_text())
    vectors["samples"][1]["membranes"][0][3][7] += 1
    (tmp_path / "vectors.json").write_text(json.dumps(vectors))
    done = start(hardware, "--samples", "2", "--vectors", tmp_path / "vectors.json", "--build", tmp_path / "build")
    assert done.returncode == 1
    wrong = vectors["samples"][1]["membranes"][0][3][7]
    assert f"layer 'net.hidden', neuron 7, timestep 3 of sample 1: membrane must be {wrong}, not {wrong - 1}" in done.stdout
    rows = [line.split()[:2] for line in done.stdout.splitlines()]
    assert all(row in rows for row in (["membrane", "expected"], ["membrane", "got"], ["spike", "expected"], ["spike", "got"]))


@needs_icarus
def test_a_wrong_cycle_count_fails(hardware, tmp_path):
    vectors = json.loads((hardware / "sim" / "vectors.json").read_text())
    vectors["samples"][0]["cycles"] += 1
    (tmp_path / "vectors.json").write_text(json.dumps(vectors))
    done = start(hardware, "--samples", "1", "--vectors", tmp_path / "vectors.json", "--build", tmp_path / "build")
    assert done.returncode == 1
    wrong = vectors["samples"][0]["cycles"]
    assert f"sample 0 must take {wrong} clock cycles, not {wrong - 1}" in done.stdout


def test_a_bench_that_broke_off_is_no_success():
    passed = {"failure": ""}
    assert BenchRun(dict.fromkeys(("undisturbed", "stalled", "interrupted"), passed), 1.0, "").problem is None
    assert BenchRun({"undisturbed": passed}, 1.0, "").problem == "test 'stalled': must come to its end, and did not"
    wrong = {"undisturbed": {"failure": "layer 'a' differs"}}
    assert BenchRun(wrong, 1.0, "").problem == "test 'undisturbed': layer 'a' differs"


def test_options_are_checked(hardware):
    done = start(hardware, "--samples", "0")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "run.py: error: argument --samples: must be at least 1, not 0")
    done = start(hardware, "--rtl", hardware / "sim")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1] == f"run.py: error: {hardware / 'sim' / 'snnhw_top.v'} does not exist"


def test_a_missing_simulator_has_exit_code_3(hardware):
    done = subprocess.run([sys.executable, hardware / "sim" / "run.py"], capture_output=True, text=True, check=False,
                          env={"PATH": ""})
    assert done.returncode == 3
    assert done.stderr == "error: icarus is not installed, install it with: apt-get install iverilog\n"
