"""The report: complete, self-contained, repeatable, and deaf to what names try to be."""

import json
import re
import shutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from report_runs import read_page, record, write_imported, write_run

from snnhw.errors import FileError
from snnhw.report import COMMANDS, write_report

HOSTILE = "</script><img src=x onerror=alert(1)> {{ 7 * 7 }} $\\frac{$ & \"'\n\x00\u202e名前"


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """Return the run folder of a whole session, and its parsed report."""
    folder = write_run(tmp_path_factory.mktemp("session") / "run")
    return folder, read_page(write_report(folder))


@pytest.fixture(scope="module")
def imported(tmp_path_factory):
    """Return the run folder of a session that imported its network, and its parsed report."""
    folder = write_imported(tmp_path_factory.mktemp("session") / "run")
    return folder, read_page(write_report(folder))


def test_an_import_has_chapters_of_its_own(full, imported):
    _, page = imported
    for chapter in ("As it was read", "Quantization after training", "Where floats and integers part"):
        assert f" {chapter} " in page.text
        assert chapter not in full[1].text
    assert "Not in this run folder" not in page.text
    assert "Floats and integers decide alike for 98.61 % of 360 samples." in page.text
    assert "subtract: the file says nothing" in page.text
    assert ("First in layer 'hidden', neuron 3, timestep 4 of sample 1: float gives 0, integer gives 1. "
            "Explained by: weights.") in page.text
    assert "97.22 %" in page.text
    assert "16 spike trains" in page.text


def test_limits_are_those_of_the_estimate(full):
    folder, page = full
    results = json.loads((folder / "estimate.json").read_text())["results"]
    limits, sentence = results["limits"], results["limits"]["sentence"]
    lanes = ", ".join(f"{name} {count}" for name, count in results["folding"]["lanes"].items())
    assert f"{sentence[0].upper()}{sentence[1:]}." in page.text
    assert f"Lanes were chosen for the fastest design that fits the board: {lanes}." in page.text
    for name in ("mean", "worst", "bound"):
        assert f"{limits['cycles'][name]:,.0f}" in page.text
    assert all(layer["verdict"] in page.text for layer in limits["layers"])
    assert f"{limits['waiting'] * 100:.2f} % of the cycles go to no part" in page.text


def test_an_estimate_of_an_earlier_version_is_asked_for_again(full, tmp_path):
    folder = tmp_path / "run"
    shutil.copytree(full[0], folder)
    record = json.loads((folder / "estimate.json").read_text())
    del record["results"]["limits"]
    (folder / "estimate.json").write_text(json.dumps(record))
    assert "The record of the estimate says nothing about it; run the command again" in read_page(write_report(folder)).text


def test_every_chapter_is_there(full):
    _, page = full
    for chapter in (
        "Network",
        "Accuracy",
        "Verification",
        "Plan and memories",
        "What limits the design",
        "Area and timing",
        "Energy",
        "Energy constants",
        "How these numbers were made",
    ):
        assert f" {chapter} " in page.text
    assert "Not in this run folder" not in page.text
    assert "None" not in page.text


@pytest.mark.parametrize(
    "text",
    [
        "float 97.78 %",  # accuracy
        "All 70,440 compared words and counts in 360 samples are equal",
        "counts predicted from the plan were measured in the RTL; 0 differ",
        "16 → 12 neurons",
        "weights 4 b, state 12 b",  # the drawing of the network
        "1,056 of 5,280 (20.0%)",
        "15 of 30 (50.0%)",  # budget of the board
        "41.25 MHz",
        "board clock 12 MHz",
        "snnhw.bin",
        "effective ACs",
        "connection sparsity",  # metrics
        "rests on",
        "A2 estimated",
        "R2 simulated",  # energy
        "different hardware: iCE40UP5K (fpga) over 45 nm ASIC (asic) constants",
        "ice40_power (tinyVision, Joulescope on the core rail)",
        "snnhw energy run",
        "pyosys 0.70",  # how the numbers were made
    ],
)
def test_number_is_shown(full, text):
    assert text in full[1].text


def test_numbers_say_where_they_come_from(full):
    _, page = full
    tiles = page.text.split(" Network ")[1].split(" Accuracy on")[0]
    for label in ("estimated", "simulated", "placed and routed", "computed in software"):
        assert label in page.text
    assert tiles
    labels = sum(1 for tag, attributes in page.tags if tag == "span" and (attributes.get("class") or "").startswith("label"))
    assert labels >= 7 + 5


def test_plots_are_drawn_inline(full):
    _, page = full
    drawings = [attributes for tag, attributes in page.tags if tag == "svg"]
    assert len(drawings) >= 3 + 2
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    colours = {match for _, attributes in page.tags for match in re.findall(r"var\(--[\w-]+\)", attributes.get("style") or "")}
    assert {"var(--kind-weights)", "var(--kind-clock)", "var(--first)", "var(--second)", "var(--ink)"} <= colours


def test_page_needs_nothing_from_outside(full):
    folder, page = full
    assert {tag for tag, _ in page.tags} & {"script", "link", "img", "iframe", "object", "embed", "base"} == set()
    for _, attributes in page.tags:
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("href", "xlink:href", "src"):
                assert value.startswith("#")
    text = (folder / "report.html").read_text()
    assert re.findall(r"url\((?!#)", text) == []
    assert set(re.findall(r"https?://[^\"' ]+", text)) <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}
    assert "<!DOCTYPE html>" in text[:40].lstrip()
    assert text.count("<!DOCTYPE") == 1


def test_every_colour_is_defined_for_light_dark_and_paper(full):
    text = (full[0] / "report.html").read_text()
    used = set(re.findall(r"var\(--([\w-]+)\)", text)) - {"font", "mono"}
    light, dark, paper = text.split("color-scheme: light dark")[1].split(":root {")[:3]
    for theme in (light, dark, paper):
        assert used <= set(re.findall(r"--([\w-]+):", theme))


def test_same_records_give_the_same_bytes(full, tmp_path):
    folder, _ = full
    first = (folder / "report.html").read_bytes()
    assert write_report(folder).read_bytes() == first
    elsewhere = shutil.copytree(folder, tmp_path / "other" / "run", ignore=shutil.ignore_patterns("report.html"))
    assert write_report(elsewhere, tmp_path / "page.html").read_bytes() == first
    assert not (elsewhere / "report.html").exists()


def test_names_stay_text(tmp_path):
    folder = write_run(tmp_path / "run", name=HOSTILE, layer=HOSTILE)
    record(folder, "train", {HOSTILE: HOSTILE}, versions={HOSTILE: HOSTILE}, arguments=[HOSTILE], seed=HOSTILE)
    page = read_page(write_report(folder))
    assert {tag for tag, _ in page.tags} & {"script", "img"} == set()
    shown = HOSTILE.replace("\n", "\ufffd").replace("\x00", "\ufffd").replace("\u202e", "\ufffd")
    # Title, heading, tables, diagram and plot all show the name, none of them anything else.
    assert page.text.count("</script><img src=x onerror=alert(1)>") >= 8
    assert shown in page.text
    assert "49" not in page.text.partition("·")[0]
    text = (folder / "report.html").read_text()
    assert "\x00" not in text
    assert "onerror=alert(1)>" not in text.replace("onerror=alert(1)&gt;", "")


def test_a_folder_name_stays_text(tmp_path):
    folder = tmp_path / "<script>alert(1)<"
    folder.mkdir()
    page = read_page(write_report(folder))
    assert "script" not in {tag for tag, _ in page.tags}
    assert "<script>alert(1)<" in page.text


# Without the record of an import, a session is one that lowered its network.
@pytest.mark.parametrize("command", [command for command in COMMANDS if command not in ("train", "import", "generate")])
def test_a_missing_record_is_replaced_by_its_command(full, imported, tmp_path, command):
    source, _ = imported if command == "explain" else full
    folder = shutil.copytree(source, tmp_path / "run")
    (folder / f"{command}.json").unlink()
    page = read_page(write_report(folder))
    if command != "estimate":  # what it says is also in the record of energy
        assert f"Not in this run folder. Made by: snnhw {command} " in page.text


def test_an_empty_folder_says_how_to_begin(tmp_path):
    page = read_page(write_report(tmp_path))
    assert "No record of any command is in this run folder. A session begins with: snnhw train MODEL --out RUN" in page.text
    for command in ("lower", "inspect", "estimate", "verify", "build", "energy"):
        assert f"snnhw {command} " in page.text


def test_estimate_alone_has_its_ladder(full, tmp_path):
    shutil.copy(full[0] / "estimate.json", tmp_path)
    page = read_page(write_report(tmp_path))
    assert "The ladder, per sample" in page.text
    assert "Not in this run folder. Made by: snnhw energy RUN" in page.text


def test_records_of_the_hardware_folder_are_found(full, tmp_path):
    folder = shutil.copytree(full[0], tmp_path / "run")
    (folder / "hw").mkdir()
    (folder / "verify.json").rename(folder / "hw" / "verify.json")
    assert "All 70,440 compared words" in read_page(write_report(folder)).text


def test_mismatches_are_not_hidden(tmp_path):
    page = read_page(write_report(write_run(tmp_path / "run", mismatches=3)))
    assert "3 of 70,440 compared words and counts in 360 samples differ." in page.text
    assert "are equal" not in page.text
    assert "layer 'last', neuron 3: spike must be 1, not 0" in page.text
    assert any("bad" in (attributes.get("class") or "").split() for tag, attributes in page.tags if tag == "div")


def test_a_difference_counts_even_without_a_total(tmp_path):
    record(tmp_path, "verify", {"ok": False, "simulators": {"icarus": {"simulator": "icarus", "output_mismatches": 2}}})
    page = read_page(write_report(tmp_path))
    assert "2 of 2 compared words and counts differ." in page.text
    assert "are equal" not in page.text


def test_a_damaged_record_is_named(full, tmp_path):
    folder = shutil.copytree(full[0], tmp_path / "run")
    (folder / "lower.json").write_text("{")
    (folder / "build.json").write_text("[1]")
    page = read_page(write_report(folder))
    assert "The record lower.json cannot be read; run the command again: snnhw lower" in page.text
    assert "The record build.json cannot be read; run the command again: snnhw build" in page.text


def test_a_missing_folder_is_refused(tmp_path):
    with pytest.raises(FileError, match=r"^run folder '.*nowhere' does not exist$"):
        write_report(tmp_path / "nowhere")


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5),
    lambda children: st.lists(children, max_size=3) | st.dictionaries(st.text(max_size=5), children, max_size=3),
    max_leaves=5,
)


@settings(max_examples=6)
@given(data=st.data())
def test_any_record_makes_a_page(full, imported, tmp_path_factory, data):
    """Replace some value anywhere in the records by something else; a page comes out all the same."""
    folder = tmp_path_factory.mktemp("fuzz")
    source, _ = data.draw(st.sampled_from([full, imported]))
    for command in (path.stem for path in sorted(source.glob("*.json"))):
        value = json.loads((source / f"{command}.json").read_text())
        place, steps = value, data.draw(st.integers(1, 6))
        for step in range(steps):
            keys = sorted(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = data.draw(st.sampled_from(keys))
            if step == steps - 1 or not isinstance(place[key], dict | list):
                place[key] = data.draw(json_values)
                break
            place = place[key]
        (folder / f"{command}.json").write_text(json.dumps(value))
    read_page(write_report(folder))
