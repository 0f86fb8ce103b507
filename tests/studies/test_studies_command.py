"""``snnhw claims`` in this process, on the digits and a tiny network."""

import json
from dataclasses import replace

import pytest

from snnhw import studies
from snnhw.cli.app import run
from snnhw.studies import Bench, RunCache, check_hardware, claims
from snnhw.studies.quantize_prune import DIGITS, Point

TINY = replace(DIGITS, held_out=50, float_samples=200, float_epochs=2, samples=128, epochs=2, counted=10, tested=50, hidden=16)


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(claims, "DIGITS", TINY)


def snnhw(capsys, *arguments):
    code = run([str(argument) for argument in ("claims", *arguments)])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_the_command_writes_record_page_and_figures(tmp_path, capsys):
    out, page = tmp_path / "claims", tmp_path / "docs" / "claims.md"
    code, text, error = snnhw(capsys, "A3", "--out", out, "--quick", "--no-hardware", "--write", page, "--json")
    assert (code, error) == (0, "")
    record = json.loads(text)
    assert record == json.loads((out / "claims.json").read_text())
    claim, = record["results"]["claims"]
    assert claim["id"] == "A3"
    assert claim["command"] == "snnhw claims A3 --out claims --quick"
    content = page.read_text()
    assert f"**{claim['verdict']}**" in content
    assert str(tmp_path) not in content
    drawn = sorted(path.name for path in (page.parent / "figures").iterdir())
    assert drawn == ["claims-accuracy.svg", "claims-layers.svg", "claims-parts.svg"]
    assert all(f"](figures/{name})" in content for name in drawn)


def test_nothing_is_run_when_collecting(tmp_path, capsys):
    code, text, error = snnhw(capsys, "A", "--out", tmp_path / "claims", "--quick", "--collect")
    assert (code, error) == (0, "")
    assert text.count("not finished") == 10
    assert [path.name for path in (tmp_path / "claims").iterdir()] == ["claims.json"]


@pytest.mark.parametrize(("arguments", "message"), [
    (("A3", "--data", "digits"), "error: --data must be mnist or fashion, not 'digits'\n"),
    (("A3", "--seeds", "0"), "error: --seeds must be between 1 and 100, not 0\n"),
])
def test_options_are_checked(tmp_path, capsys, arguments, message):
    assert snnhw(capsys, *arguments, "--out", tmp_path) == (2, "", message)


def test_hardware_that_differs_fails_the_command(tmp_path, capsys, monkeypatch):
    row = {"title": "ternary", "data": "digits", "seed": 1, "samples": 20, "problem": "spikes differ", "access_mismatches": 0}
    row |= dict.fromkeys(("spike_words", "membrane_words", "output_words", "cycle_counts", "spike_mismatches",
                          "membrane_mismatches", "output_mismatches", "cycle_mismatches"), 1)
    monkeypatch.setattr(studies, "check_hardware", lambda bench: [row])
    code, _, error = snnhw(capsys, "A3", "--out", tmp_path, "--quick", "--collect")
    assert (code, error) == (1, "error: the hardware must equal the reference, and differs for ternary\n")


def test_hardware_equals_the_reference(tmp_path, monkeypatch):
    """The generated accelerator of a pruned ternary network, simulated once."""
    point = Point("joint", 2, 0.75)
    monkeypatch.setattr(claims, "CHECKED", (point,))
    bench = Bench(RunCache(tmp_path), (1,), quick=True)
    assert check_hardware(bench) == []
    claims.study_of(bench).point(1, point)
    assert check_hardware(replace(bench, collect=True)) == []
    found, = check_hardware(bench, samples=5)
    assert (found["title"], found["samples"], found["problem"]) == ("ternary + 75 % joint", 5, None)
    assert found["spike_words"] == 5 * 8 * (16 + 10)
    assert sum(found[name] for name in found if name.endswith("mismatches")) == 0
    monkeypatch.setattr(claims.Study, "hardware", None)
    assert check_hardware(replace(bench, collect=True), samples=5) == [found]
