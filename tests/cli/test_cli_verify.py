"""``snnhw verify``: a difference is named, recorded and 1."""

import json
import re
import shutil

import pytest


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """Return a run folder with generated hardware."""
    from snnhw_run import make_graph, write_run

    from snnhw.cli.app import run
    folder = tmp_path_factory.mktemp("verify") / "run"
    write_run(folder, make_graph())
    assert run(["generate", str(folder), "--out", str(folder / "hw"), "--samples", "2"]) == 0
    return folder


@pytest.fixture
def hardware(generated, tmp_path):
    """Return generated hardware in a run folder of its own."""
    return shutil.copytree(generated, tmp_path / "run") / "hw"


def test_native_runs_the_samples_of_the_run_folder(snnhw, hardware):
    done = snnhw("verify", hardware, "--simulator", "native")
    assert (done.code, done.err) == (0, "")
    record = json.loads((hardware.parent / "verify.json").read_text())["results"]
    assert (record["ok"], record["problem"], list(record["simulators"])) == (True, None, ["native"])
    native = record["simulators"]["native"]
    assert (native["samples"], native["spike_words"], native["membrane_words"]) == (6, 6 * 6 * 10, 6 * 6 * 10)
    assert {value for name, value in native.items() if name.endswith("_mismatches")} == {0}


def test_folder_alone_is_enough(snnhw, hardware, tmp_path):
    moved = shutil.move(hardware, tmp_path / "moved")
    done = snnhw("verify", moved, "--simulator", "native", "--json")
    assert done.code == 0
    assert json.loads(done.out)["results"]["simulators"]["native"]["samples"] == 2
    assert (moved / "verify.json").exists()


def test_wrong_bit_is_named_and_1(snnhw, hardware):
    """One weight differs in one bit; the first layer that computes with it is named, with both traces."""
    memory = next((hardware / "rtl").glob("*layer1*weights.mem"))
    words = memory.read_text().split("\n")
    index = next(number for number, word in enumerate(words) if set(word) & set("01") and not word.startswith("/"))
    words[index] = words[index][:-1] + ("1" if words[index][-1] == "0" else "0")
    memory.write_text("\n".join(words))
    done = snnhw("verify", hardware, "--simulator", "native")
    assert done.code == 1
    first, *trace = done.err.splitlines()
    assert re.fullmatch(r"error: layer 'classes', neuron \d+, timestep \d+ of sample \d+: membrane must be -?\d+, not -?\d+",
                        first)
    titles = "timestep", "membrane expected", "membrane got", "spike expected", "spike got"
    assert [line[:20].strip() for line in trace] == list(titles)
    assert "DIFFERENT" in done.out
    record = json.loads((hardware.parent / "verify.json").read_text())["results"]
    assert not record["ok"]
    assert record["problem"] in done.err


def test_missing_simulator(snnhw, hardware, monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path))
    done = snnhw("verify", hardware, "--simulator", "icarus")
    assert (done.code, done.out) == (3, "")
    assert done.err == "error: program 'iverilog' is not installed, install it with: apt-get install iverilog\n"


@pytest.mark.parametrize(("options", "message"), [
    (["--simulator", "modelsim"], "simulator must be native, icarus or verilator, not 'modelsim'"),
    (["--simulator", "native", "--waves", "x.fst"],
     "waves are written by the simulators 'icarus' and 'verilator', not by 'native'"),
    (["--simulator", "native", "--samples", "99"], "samples must be between 1 and 6, the number there is, not 99"),
])
def test_wrong_options(snnhw, hardware, options, message):
    done = snnhw("verify", hardware, *options)
    assert (done.code, done.out, done.err) == (2, "", f"error: {message}\n")


def test_folder_that_generate_did_not_write(snnhw, tmp_path):
    done = snnhw("verify", tmp_path, "--simulator", "native")
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: manifest {str(tmp_path / 'manifest.json')!r} does not exist\n"
