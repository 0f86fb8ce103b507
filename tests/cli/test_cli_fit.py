"""``snnhw fit``: what wins, why others do not, and the largest network; ``estimate`` and ``generate`` that choose lanes."""

import json
import re
import shlex

import pytest
from snnhw_run import make_graph, write_run

from snnhw.assets import asset
from snnhw.board import available, load_board
from snnhw.files import write_json
from snnhw.fit import find_largest
from snnhw.fit.largest import make_network
from snnhw.ir import load_graph
from snnhw.plan import load_plan, make_plan
from snnhw.plan.area import estimate_area

SAMPLES = ["--samples", "6"]


def board_file(folder, **counts):
    """Write a board file like that of the iCEBreaker with other numbers of resources; return its path."""
    text = asset("boards", "icebreaker.toml").read_text()
    for name, count in counts.items():
        text, found = re.subn(rf"(\[budget\.{name}\]\ncount = )\d+", rf"\g<1>{count}", text)
        assert found == 1
    path = folder / "small.toml"
    path.write_text(text)
    return path


def write_network(folder, accuracy=None, **sizes):
    """Write a run folder of a network, with the record of its accuracy."""
    write_run(folder, make_graph(**sizes))
    if accuracy is not None:
        write_json(folder / "lower.json", {"command": "lower", "results": {"accuracy": {"float": 0.1, "integer": accuracy}}})
    return folder


@pytest.fixture
def networks(tmp_path):
    """Return a folder with three networks: one that is not accurate, a small one and a large one."""
    write_network(tmp_path / "runs" / "a-poor", 0.5)
    write_network(tmp_path / "runs" / "b-small", 0.9)
    write_network(tmp_path / "runs" / "c-large", 0.95, hidden=40, inputs=60)
    return tmp_path / "runs"


def results_of(folder, command="fit"):
    return json.loads((folder / f"{command}.json").read_text())["results"]


@pytest.mark.parametrize("best", ["energy", "latency", "area", "accuracy"])
def test_the_winner_is_best_and_can_be_generated(snnhw, networks, best):
    done = snnhw("fit", networks, "--board", "icebreaker", "--accuracy", "80%", "--best", best, *SAMPLES)
    assert (done.code, done.err) == (0, "")
    results = results_of(networks)
    value = {"energy": lambda row: row["energy_nj"], "latency": lambda row: row["seconds"],
             "area": lambda row: row["used"]["logic"]["estimate"], "accuracy": lambda row: -row["accuracy"]}[best]
    ranked = [value(row) for row in results["feasible"]]
    assert ranked == sorted(ranked)
    assert len(set(ranked)) > 1
    winner = results["winner"]
    assert winner["network"] == results["feasible"][0]["network"]
    assert best != "accuracy" or winner["network"].endswith("c-large")
    assert " takes " in winner["limits"]
    have = available(load_board("icebreaker"))
    assert all(row["used"][name]["high"] <= count for row in results["feasible"] for name, count in have.items())
    words = shlex.split(results["command"])
    assert words[:2] == ["snnhw", "generate"]
    assert snnhw(*words[1:]).code == 0
    manifest = json.loads((networks / winner["network"].rpartition("/")[2] / "hw" / "manifest.json").read_text())
    assert manifest["plan"]["lanes"] == winner["plan"]["lanes"]
    assert manifest["plan"]["load_weights"] == (winner["weights"] == "loaded")


def test_each_rejection_is_one_sentence(snnhw, tmp_path, networks):
    board = board_file(tmp_path, block_ram=3)
    done = snnhw("fit", networks, "--board", board, "--accuracy", "0.8", "--weights", "fixed", "--max-latency", "20us", *SAMPLES)
    assert (done.code, done.err) == (0, "")
    poor, large = results_of(networks)["rejected"]
    assert poor["reason"] == "accuracy must be at least 80.00%, and is 50.00% (recorded by lower)"
    assert (poor["weights"], large["weights"]) == (None, "fixed")
    assert re.fullmatch(r"network 'small' needs \d+ SB_RAM40_4K blocks, 1BitSquared iCEBreaker 1\.0 \(iCE40UP5K\) has 3: load .*",
                        large["reason"])
    slow = snnhw("fit", networks / "b-small", "--board", board, "--max-latency", "2us", *SAMPLES)
    assert slow.code == 1
    assert slow.err.startswith("error: no network of 1 fits 1BitSquared iCEBreaker 1.0 (iCE40UP5K) as asked: latency must be ")
    results = results_of(networks / "b-small")
    assert results["winner"] is None
    assert re.fullmatch(r"latency must be at most 2 µs, and is at least [\d.]+ µs at 12 MHz with lanes hidden=\d, classes=\d; "
                        r"[a-z ]+ layer '\w+' takes \d+% of the cycles: .*", results["rejected"][0]["reason"])
    assert "Not feasible" in slow.out


def test_a_network_that_is_too_slow_for_the_clock_is_rejected_alone(snnhw, networks):
    board, highest = load_board("icebreaker"), []
    for name in ("b-small", "c-large"):
        plan = make_plan(load_graph(networks / name / "graph.safetensors"), lanes={"hidden": 256, "classes": 256})
        highest.append(estimate_area(plan, board).fmax_mhz[2])
    clock = f"{sum(highest) / 2:.6f}"
    done = snnhw("fit", networks, "--board", "icebreaker", "--clock", clock, "--weights", "fixed", *SAMPLES)
    assert (done.code, done.err) == (0, "")
    results = results_of(networks)
    assert results["feasible"]
    assert results["rejected"]
    assert {row["network"] for row in results["feasible"]}.isdisjoint(row["network"] for row in results["rejected"])
    for row in results["rejected"]:
        assert re.fullmatch(r"clock must be at most [\d.]+ MHz on .*, the upper bound of the estimated highest frequency, "
                            r"not [\d.]+", row["reason"])


def test_a_longer_latency_admits_smaller_designs(snnhw, networks):
    cells = []
    for limit in ("15us", "60us", "1s"):
        snnhw("fit", networks / "b-small", "--board", "icebreaker", "--max-latency", limit, "--best", "area", *SAMPLES)
        winner = results_of(networks / "b-small")["winner"]
        assert winner["seconds"] <= {"15us": 15e-6, "60us": 60e-6, "1s": 1.0}[limit]
        cells.append(winner["used"]["logic"]["estimate"])
    assert cells[0] > cells[1] >= cells[2]


def test_networks_of_a_sweep_are_judged_by_what_it_held_out(snnhw, tmp_path):
    for number, (accuracy, held) in enumerate([(0.9, 0.7), (0.8, None)]):
        trial = tmp_path / "sweep" / "trials" / str(number)
        write_network(trial / "full")
        write_network(trial / "hardware")
        write_json(trial / "hardware" / "manifest.json", {})
        write_json(trial / "full.json", {"ok": True, "metrics": {"accuracy": accuracy}, "accuracy_held_out": held})
    out = tmp_path / "out"
    assert snnhw("fit", tmp_path / "sweep", "--board", "icebreaker", "--accuracy", "75%", "--out", out, *SAMPLES).code == 0
    results = results_of(out)
    assert results["networks"] == 2
    assert results["winner"]["accuracy_from"] == "recorded by sweep"
    assert results["rejected"][0]["reason"] == "accuracy must be at least 75.00%, and is 70.00% (samples that the sweep held out)"


def test_an_accuracy_that_nobody_recorded_is_measured(snnhw, tmp_path):
    folder = write_network(tmp_path / "run")
    assert snnhw("fit", folder, "--board", "icebreaker", *SAMPLES).code == 0
    winner = results_of(folder)["winner"]
    assert winner["accuracy_from"] == "measured on 6 samples"
    assert winner["accuracy"] * 6 == pytest.approx(round(winner["accuracy"] * 6))


@pytest.mark.parametrize(("words", "message"), [
    (["RUN"], "--board must be given"),
    (["--board", "icebreaker"], "networks must be given: run folders, folders that hold some, or folders of sweeps"),
    (["RUN", "--board", "icebreaker", "--accuracy", "97"], "--accuracy must be a share such as 97% or 0.97, not '97'"),
    (["RUN", "--board", "icebreaker", "--best", "price"], "best must be energy, latency, area or accuracy, not 'price'"),
    (["RUN", "--board", "icebreaker", "--weights", "no"], "--weights must be fixed, loaded or both, not 'no'"),
    (["RUN", "--board", "icebreaker", "--max-latency", "1"], "--max-latency must be a time such as 1ms or 50us, not '1'"),
    (["RUN", "--board", "icebreaker", "--largest"], "--largest must be given without networks, not with 'RUN'"),
    (["--board", "icebreaker", "--largest", "--shape", "784-10"],
     "shape must be sizes of layers with N for the hidden one, such as 784-N-10, not '784-10'"),
    (["--board", "icebreaker", "--largest", "--weight-bits", "1"], "weight bits must be between 2 and 16, not 1"),
])
def test_wrong_usage_is_one_line_and_2(snnhw, run_folder, words, message):
    done = snnhw("fit", *(run_folder if word == "RUN" else word for word in words))
    assert (done.code, done.out) == (2, "")
    assert done.err == f"error: {message}\n".replace("RUN", str(run_folder))


def test_folders_without_a_network_say_what_makes_one(snnhw, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "model.py").write_text("")
    (tmp_path / "empty").mkdir()
    model, empty, none = (snnhw("fit", tmp_path / name, "--board", "icebreaker") for name in ("model", "empty", "none"))
    assert [done.code for done in (model, empty, none)] == [2, 2, 2]
    assert f"must be lowered first: snnhw lower {tmp_path / 'model'} --out RUN" in model.err
    assert "must hold networks: graph.safetensors" in empty.err
    assert none.err.endswith("does not exist\n")


@pytest.mark.parametrize("loaded", [False, True])
def test_the_largest_is_the_last_that_fits(tmp_path, loaded):
    board = load_board(board_file(tmp_path, block_ram=14 if loaded else 8, single_port_ram=1))

    def fits(hidden):
        graph = make_network("100-N-4", hidden, 4, 12)
        plans = [make_plan(graph, lanes=lanes, load_weights=loaded, formats="dense", events=events)
                 for lanes in (1, 2, 4, 8, 16) for events in ("list", "bitmap")]
        return any(all(high <= available(board)[name] for name, (*_, high) in estimate_area(plan, board).used.items())
                   for plan in plans)
    found = find_largest(board, shape="100-N-4", loaded=loaded)
    assert fits(found.hidden)
    assert not any(fits(size) for size in range(found.hidden + 1, found.hidden + 17))
    assert found.short
    assert f"100-{found.hidden + 1}-4" in found.reason
    assert found.short[0] == ("single_port_ram" if loaded else "block_ram")


def test_the_largest_can_be_generated(snnhw, tmp_path):
    board, out = board_file(tmp_path, block_ram=8), tmp_path / "out"
    done = snnhw("fit", "--board", board, "--largest", "--shape", "100-N-N-4", "--weights", "fixed", "--out", out)
    assert (done.code, done.err) == (0, "")
    results = results_of(out)
    hidden = results["hidden"]
    assert results["largest"][0]["network"] == f"100-{hidden}-{hidden}-4" == load_graph(out / "graph.safetensors").name
    assert results["largest"][0]["runs_out"] == ["block_ram"]
    assert f"network '100-{hidden + 1}-{hidden + 1}-4' needs 9 SB_RAM40_4K blocks" in " ".join(done.out.split())
    assert snnhw("generate", out, "--out", out / "hw", "--board", board, "--lanes", 1).code == 0


def test_estimate_and_generate_choose_the_same_lanes(snnhw, tmp_path):
    run = write_network(tmp_path / "run", hidden=24, inputs=40)
    goal = ["--board", "icebreaker", "--target-latency", "40us"]
    told = snnhw("estimate", run, *goal)
    assert (told.code, told.err) == (0, "")
    assert "at most 40 µs" in told.out
    estimate = results_of(run, "estimate")
    folding = estimate["folding"]
    assert folding["seconds"] <= 40e-6
    assert folding["proven"]
    assert estimate["limits"]["cycles"]["worst"] == folding["cycles"]
    assert estimate["limits"]["cycles"]["worst"] <= estimate["limits"]["cycles"]["bound"]
    assert snnhw("generate", run, *goal, "--out", run / "hw").code == 0
    manifest = json.loads((run / "hw" / "manifest.json").read_text())
    lanes = folding["lanes"]
    assert manifest["plan"]["lanes"] == lanes
    assert f"--lanes hidden={lanes['hidden']} --lanes classes={lanes['classes']}" in manifest["command"]
    assert "--target" not in manifest["command"]
    # What was chosen is recorded, and the commands after it take it over.
    snnhw("estimate", run)
    again = results_of(run, "estimate")
    assert again["folding"] is None
    assert {layer["layer"]: layer["lanes"] for layer in again["layers"]} == lanes


@pytest.mark.parametrize(("goal", "worse"), [(["--fastest"], ["--lanes", "2"]), (["--target-area", "25%"], ["--lanes", "1"])])
def test_goals_of_estimate(snnhw, run_folder, goal, worse):
    cycles = []
    for options in (goal, worse):
        assert snnhw("estimate", run_folder, "--board", "icebreaker", *options).code == 0
        cycles.append(results_of(run_folder, "estimate")["cycles"]["max"])
    assert cycles[0] < cycles[1]


@pytest.mark.parametrize("options", [["--decide"], ["--control", "wishbone"]])
def test_what_is_chosen_has_room_for_all_that_is_generated(snnhw, run_folder, options):
    assert snnhw("generate", run_folder, "--out", run_folder / "hw", "--board", "ulx3s-85f", "--fastest", *options).code == 0
    plan = load_plan(run_folder / "hw")
    assert (plan.decide, plan.control) == (options[0] == "--decide", "wishbone" if "wishbone" in options else None)
    logic = estimate_area(plan, load_board("ulx3s-85f")).used["logic"]
    assert results_of(run_folder, "generate")["folding"]["logic"] == dict(zip(("estimate", "low", "high"), logic, strict=True))


def test_a_clock_changes_times_and_not_cycles(snnhw, run_folder):
    found = []
    for options in ([], ["--clock", "24"], ["--clock", "max"]):
        assert snnhw("estimate", run_folder, "--board", "icebreaker", *options).code == 0
        found.append(results_of(run_folder, "estimate"))
    assert [item["clock_hz"] for item in found[:2]] == [12e6, 24e6]
    assert found[2]["clock_hz"] == found[2]["area"]["fmax_mhz"]["low"] * 1e6
    assert len({item["cycles"]["mean"] for item in found}) == 1
    assert found[1]["limits"]["microseconds"]["worst"] == found[0]["limits"]["microseconds"]["worst"] / 2


@pytest.mark.parametrize(("command", "words", "message"), [
    ("estimate", ["--lanes", "2", "--fastest"], "--fastest must be given without --lanes: each of them decides on the lanes"),
    ("estimate", ["--target-area", "50%", "--fastest"],
     "--fastest must be given without --target-area: each of them decides on the lanes"),
    ("estimate", ["--clock", "fast"], "--clock must be a number of MHz, or max, not 'fast'"),
    ("estimate", ["--fastest", "--latency-of", "best"], "latency must be worst, p99 or mean of the samples, not 'best'"),
    ("fit", ["--board", "icebreaker", "--latency-of", "best"], "latency must be worst, p99 or mean of the samples, not 'best'"),
    ("generate", ["--fastest", "--out", "OUT"], "--board must be given for lanes to be chosen"),
    ("generate", ["--clock", "24", "--out", "OUT"], "--clock must be given with --target-latency, --target-area or --fastest; "
     "snnhw build --clock makes the clock of a bitstream"),
])
def test_wrong_folding_is_one_line_and_2(snnhw, run_folder, tmp_path, command, words, message):
    done = snnhw(command, run_folder, *(tmp_path / "hw" if word == "OUT" else word for word in words))
    assert (done.code, done.out, done.err) == (2, "", f"error: {message}\n")


def test_an_impossible_target_is_answered_with_the_nearest(snnhw, run_folder):
    done = snnhw("estimate", run_folder, "--board", "icebreaker", "--target-latency", "1us")
    assert done.code == 2
    nearest = re.fullmatch(r"error: target latency must be at least ([\d.]+) µs for network 'small' on 1BitSquared iCEBreaker "
                           r"1\.0 \(iCE40UP5K\) at 12 MHz, not 1 µs: the fastest folding that fits, with lanes hidden=7, "
                           r"classes=3, takes \d+ cycles \(worst of 6 samples\)\n", done.err)
    assert nearest
    possible = snnhw("estimate", run_folder, "--board", "icebreaker", "--target-latency", f"{float(nearest[1]) + 0.01:.2f}us")
    assert possible.code == 0


def test_what_limits_a_design_is_shown(snnhw, run_folder):
    done = snnhw("estimate", run_folder, "--board", "icebreaker", "--lanes", "1")
    assert "What limits it" in done.out
    assert "takes" in done.out
    layers = results_of(run_folder, "estimate")["limits"]["layers"]
    assert [layer["layer"] for layer in layers] == ["hidden", "classes"]
    assert sum(share for layer in layers for share in layer["limiting"].values()) <= 1
