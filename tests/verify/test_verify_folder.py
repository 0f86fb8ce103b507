"""``verify`` on an output folder: what is found out, and what it says."""

import json
import re
import shutil

import pytest
from verify_networks import small_plan, spikes_for

from rtl_gen import generate
from snnhw.errors import FileError, UsageError
from snnhw.plan import load_plan
from snnhw.plan.accesses import TIMES
from snnhw.verify import load_stimulus, make_vectors, verify_folder

PLAN = small_plan()
SPIKES = spikes_for(PLAN)


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    folder = tmp_path_factory.mktemp("folder") / "hw"
    generate(PLAN, folder, vectors=make_vectors(PLAN, SPIKES))
    return folder


@pytest.fixture
def hardware(generated, tmp_path):
    """Return a copy that may be damaged."""
    return shutil.copytree(generated, tmp_path / "hw")


def test_a_folder_is_equal(generated):
    said = []
    result = verify_folder(generated, progress=said.append)
    assert said[0] == "compiling the Verilog"
    assert result["ok"]
    assert result["problem"] is None
    words, counts = 5 * 6 * 14, 5 * (14 + 2 * (1 + len(TIMES)))
    assert {name: value for name, value in result.items() if not name.endswith("seconds")} == {
        "ok": True, "simulator": "native", "problem": None, "engine": "cxxrtl", "samples": 5,
        "spike_words": words, "spike_mismatches": 0, "membrane_words": words, "membrane_mismatches": 0, "output_words": 150,
        "output_mismatches": 0, "cycle_counts": 5, "cycle_mismatches": 0, "access_counts": counts, "access_mismatches": 0,
        "clock_cycles": result["clock_cycles"], "stalled_samples": 5, "stalled_mismatches": 0}
    json.dumps(result)


def test_more_samples_than_shipped_can_be_given(generated):
    result = verify_folder(generated, spikes=spikes_for(PLAN, samples=20, seed=4), samples=15)
    assert (result["ok"], result["samples"]) == (True, 15)


@pytest.mark.skipif(shutil.which("iverilog") is None, reason="Icarus Verilog is MISSING")
def test_the_bench_gives_the_same_numbers(generated, tmp_path):
    native, bench = verify_folder(generated, samples=3), verify_folder(generated, samples=3, simulator="icarus",
                                                                       waves=tmp_path / "waves.fst")
    assert bench["ok"]
    shared = {name for name in native.keys() & bench.keys() if name.endswith(("words", "counts", "mismatches", "cycles"))}
    assert len(shared) >= 9
    assert {name: native[name] for name in shared} == {name: bench[name] for name in shared}
    assert (tmp_path / "waves.fst").stat().st_size > 100


def test_a_changed_weight_in_the_memory_file_is_found(hardware):
    path = next(path for path in sorted((hardware / "rtl").glob("*.mem")) if "layer0" in path.name)
    lines = path.read_text().splitlines()
    index = next(index for index, line in enumerate(lines) if set(line) <= {"0", "1"} and line)
    lines[index] = lines[index][:-1] + str(1 - int(lines[index][-1]))  # lowest bit of lane 0 of tile 0
    path.write_text("\n".join(lines) + "\n")
    result = verify_folder(hardware)
    assert not result["ok"]
    assert result["membrane_mismatches"] > 0
    assert result["problem"].startswith("layer 'net.hidden', neuron 0, timestep ")


def test_changed_verilog_is_found(hardware):
    path = hardware / "rtl" / "snnhw_top.v"
    text = path.read_text()
    assert text.count("m_axis_tlast = ") == 1
    path.write_text(text.replace("m_axis_tlast = ", "m_axis_tlast = 1'h0 & "))
    result = verify_folder(hardware)
    assert not result["ok"]
    assert "do not ascend" in result["problem"] or "nothing moved any more" in result["problem"] or "must be" in result["problem"]


def test_changed_golden_vectors_are_found(hardware):
    path = hardware / "sim" / "vectors.json"
    vectors = json.loads(path.read_text())
    vectors["samples"][0]["membranes"][0][0][0] += 1
    path.write_text(json.dumps(vectors))
    result = verify_folder(hardware)
    assert not result["ok"]
    assert result["problem"] == f"golden vectors {str(path)!r} must be what the reference computes, and are not"
    assert verify_folder(hardware, spikes=SPIKES)["ok"]


def test_the_plan_is_that_of_the_folder(generated):
    plan = load_plan(generated)
    assert plan.graph == PLAN.graph
    assert [layer.lanes for layer in plan.layers] == [layer.lanes for layer in PLAN.layers]
    spikes, content = load_stimulus(generated, plan)
    assert (spikes == SPIKES).all()
    assert content == (generated / "sim" / "vectors.json").read_bytes()


@pytest.mark.parametrize(("name", "content", "message"), [
    ("manifest.json", "{}", r"^manifest '.*' must be one that generate wrote$"),
    ("manifest.json", '{"plan": {"lanes": {"a": "b"}, "load_weights": true}}',
     r"^manifest '.*' must be one that generate wrote$"),
    ("manifest.json", "[", r"^manifest '.*' must be JSON, and is not$"),
    ("sim/vectors.json", "{}", r"^golden vectors '.*' must be those of this network, and are damaged or others$"),
    ("sim/vectors.json", "[1, 2]", r"^golden vectors '.*' must be those of this network, and are damaged or others$"),
    ("sim/vectors.json", "\xff", r"^golden vectors '.*' must be those of this network, and are damaged or others$"),
    ("sim/vectors.json", None, r"^golden vectors '.*' does not exist$"),
    ("rtl/snnhw_top.v", None, r"^output folder '.*' must hold rtl/snnhw_top.v, and does not$"),
    ("graph.safetensors", None, r"^graph file '.*' does not exist$"),
])
def test_damaged_folders_are_refused(hardware, name, content, message):
    (hardware / name).unlink()
    if content is not None:
        (hardware / name).write_text(content, encoding="latin-1")
    with pytest.raises(FileError, match=message):
        verify_folder(hardware)


@pytest.mark.parametrize(("options", "message"), [
    ({"samples": 6}, r"^samples must be between 1 and 5, the number there is, not 6$"),
    ({"samples": 0}, r"^samples must be between 1 and 5, the number there is, not 0$"),
    ({"simulator": "modelsim"}, r"^simulator must be native, icarus or verilator, not 'modelsim'$"),
    ({"waves": "x.fst"}, r"^waves are written by the simulators 'icarus' and 'verilator', not by 'native'$"),
])
def test_wrong_options_are_refused(generated, options, message):
    with pytest.raises(UsageError, match=message):
        verify_folder(generated, **options)


@pytest.mark.parametrize(("line", "found"), [
    ('initial $system("touch /tmp/x");', "$system"),
    ("initial $c(\"system(1);\");", "$c"),
    ('import "DPI-C" function void run();', "import"),
    ('`include "/etc/passwd"', "`include"),
    ("`define x y", "`define"),
    ('initial $fopen("x");', "$fopen"),
    ("/* // */ initial $finish;", "$finish"),
])
@pytest.mark.parametrize("simulator", ["native", "icarus"])
def test_verilog_that_would_run_something_is_refused(hardware, simulator, line, found):
    path = hardware / "rtl" / "snnhw_top.v"
    path.write_text(path.read_text().replace("\nmodule snnhw_top(", f"\n{line}\nmodule snnhw_top(", 1))
    message = f"Verilog {str(path)!r} must be as snnhw generate wrote it, and has {found!r}, which is not"
    with pytest.raises(FileError, match=f"^{re.escape(message)}$"):
        verify_folder(hardware, simulator=simulator)


def test_memory_files_lie_beside_the_verilog(hardware):
    path = hardware / "rtl" / "snnhw_top.v"
    path.write_text(path.read_text().replace('$readmemb("', '$readmemb("/etc/', 1))
    with pytest.raises(FileError, match=r"must read memory files that lie beside it, not '/etc/snnhw_top_\w+\.mem'$"):
        verify_folder(hardware)


def test_comments_and_names_are_no_logic(hardware):
    path = hardware / "rtl" / "snnhw_top.v"
    path.write_text("// $system `include\n/* $c import */\n" + path.read_text())
    assert verify_folder(hardware)["ok"]
