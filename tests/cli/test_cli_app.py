"""The program as a whole: help, exit codes, where words go."""

import importlib.util
import json
import re
import subprocess
import sys
import tomllib

import pytest

import snnhw as package
from snnhw.cli.app import app
from snnhw.cli.doctor import PACKAGES, PROGRAMS

COMMANDS = ["doctor", "data", "train", "lower", "compress", "widths", "stdp", "import", "explain", "inspect", "encodings",
            "estimate", "fit", "generate", "verify", "build", "energy", "compare", "report", "sweep", "claims"]


def test_commands_are_those_of_a_session():
    assert [command.name for command in app.registered_commands] == COMMANDS


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(snnhw, command):
    done = snnhw(command, "--help")
    assert (done.code, done.err) == (0, "")
    assert {"--json", "--quiet", "--debug"} <= set(re.findall(r"--\w+", done.out))


def test_nothing_shows_the_help(snnhw):
    assert snnhw() == snnhw("--help")
    assert snnhw().code == 0


@pytest.mark.parametrize(("arguments", "message"), [
    (["bogus"], "No such command 'bogus'"),
    (["inspect"], "Missing argument 'run'"),
    (["inspect", "run", "--bogus"], "No such option: --bogus"),
    (["generate", "run"], "Missing option '--out' / '-o'"),
    (["generate", "run", "--out", "hw", "--samples", "many"],
     "Invalid value for '--samples' / '-n': Input should be a valid integer, unable to parse string as an integer"),
])
def test_wrong_usage_is_one_line_and_2(snnhw, arguments, message):
    done = snnhw(*arguments)
    assert (done.code, done.out) == (2, "")
    assert re.fullmatch(rf"error: {re.escape(message)}\n", done.err)


def test_debug_shows_the_traceback(snnhw, tmp_path):
    plain, debug = snnhw("inspect", tmp_path), snnhw("inspect", tmp_path, "--debug")
    assert plain.code == debug.code == 2
    assert "Traceback" not in plain.err
    assert debug.err.startswith("Traceback")
    assert debug.err.endswith(plain.err)


def test_interrupt_is_130(snnhw, monkeypatch):
    def interrupted():
        raise KeyboardInterrupt
    monkeypatch.setattr("snnhw.cli.doctor.examine", interrupted)
    done = snnhw("doctor")
    assert (done.code, done.out) == (130, "")
    assert done.err == "error: interrupted, nothing half-written is left behind\n"


def test_closed_pipe_is_no_error(run_folder):
    """``snnhw inspect run | head`` must not end in a traceback."""
    command = [sys.executable, "-m", "snnhw", "inspect", str(run_folder)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    process.stdout.close()
    assert process.stderr.read() == b""
    assert process.wait(60) == 0


def test_installed_script_runs():
    entry = tomllib.loads((package_root() / "pyproject.toml").read_text())["project"]["scripts"]["snnhw"]
    module, _, function = entry.partition(":")
    assert hasattr(__import__(module, fromlist=[function]), function)


def package_root():
    from snnhw.assets import asset
    return asset("boards").parent


def test_doctor_lists_what_it_found(snnhw):
    done = snnhw("doctor", "--json")
    record = json.loads(done.out)
    assert (record["schema"], record["command"]) == (1, "doctor")
    assert record["versions"]["snnhw"] == package.__version__
    found = {tool["name"]: tool for tool in record["results"]["tools"]}
    assert found["numpy"]["version"] == record["versions"]["numpy"]
    assert done.code == (3 if record["results"]["missing"] else 0)


def test_doctor_says_how_to_install(snnhw, monkeypatch):
    monkeypatch.setattr("snnhw.cli.doctor.package_version", lambda name: None if name == "torch" else "1.0")
    monkeypatch.setattr("shutil.which", lambda name: None if name in ("iverilog", "make") else "/bin/true")
    done = snnhw("doctor")
    assert done.code == 3
    assert done.err == "error: 2 of the needed tools are missing: torch, make\n"
    assert re.search(r"torch +missing +train, lower +pip install 'snnhw\[train\]'", done.out)
    assert re.search(r"iverilog +missing, optional +verify: second simulator +apt-get install iverilog", done.out)


def test_doctor_knows_every_dependency():
    """What pyproject.toml installs for the whole path is what doctor asks for, with the same extra."""
    project = tomllib.loads((package_root() / "pyproject.toml").read_text())["project"]
    whole = re.search(r"\[(.*)\]", project["optional-dependencies"]["all"][0])[1].split(",")
    listed = {(name, "") for name in map(requirement_name, project["dependencies"])}
    listed |= {(requirement_name(text), extra) for extra in whole for text in project["optional-dependencies"][extra]}
    assert {(name, extra) for name, extra, _ in PACKAGES} == listed
    assert all(purpose and install for _, purpose, install, _ in PROGRAMS)


def requirement_name(text):
    return re.match(r"[A-Za-z0-9_.-]+", text)[0]


def test_reference_is_that_of_the_commands():
    """docs/cli.md is what ``python scripts/cli_reference.py`` writes."""
    root = package_root()
    spec = importlib.util.spec_from_file_location("cli_reference", root / "scripts" / "cli_reference.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert (root / "docs" / "cli.md").read_text() == module.render()
