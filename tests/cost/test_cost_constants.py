"""Constants: every shipped record has its evidence, and a wrong file is refused in one sentence."""

import re
from pathlib import Path

import pytest

from snnhw.board import board_names, load_board
from snnhw.cost import constant_sets, constants_for, load_constants
from snnhw.cost.constants import FOLDER, Constant
from snnhw.errors import FileError, UsageError


@pytest.mark.parametrize("name", constant_sets())
def test_shipped_sets_are_complete(name):
    constants = load_constants(name)
    assert constants.name == name
    for record in constants.parameters.values():
        assert len(record.source) > 20
        assert all(constants.where(record))


def test_only_the_measured_part_claims_measurements():
    measured = {
        name for name in constant_sets() for record in load_constants(name).parameters.values() if record.provenance == "measured"
    }
    assert measured == {"ice40up5k"}


def test_access_energies_of_fpga_memories_are_assumed():
    for name in constant_sets():
        constants = load_constants(name)
        assert all(constants[name].provenance == "assumed" for name in constants.blocks.values())


@pytest.mark.parametrize("name", board_names())
def test_every_board_has_constants(name):
    board = load_board(name)
    constants = constants_for(board)
    assert constants.kind == "fpga"
    # Every block of memory the board has can be charged.
    assert "block_ram" in constants.blocks
    assert board.budget.single_port_ram is None or "single_port_ram" in constants.blocks


def test_unknown_device_is_refused():
    board = load_board("icebreaker").model_copy(update={"device": "XYZ"})
    with pytest.raises(UsageError, match=r"^energy constants of the device 'XYZ' are not known, give a file with --constants$"):
        constants_for(board)


def test_flavour_is_a_choice():
    assert load_constants("asic45").flavour == "lop"
    assert load_constants("asic45", flavour="hp").flavour == "hp"
    with pytest.raises(FileError, match=r"flavour must be one of lop, hp, not 'xp'$"):
        load_constants("asic45", flavour="xp")


def test_unknown_name_is_refused():
    message = r"^constants must be one of asic45, ecp5, gowin, ice40hx8k, ice40up5k, xc7 or a \.toml file, not 'asic7'$"
    with pytest.raises(UsageError, match=message):
        load_constants("asic7")


RECORD = "[parameters.add]\nlow = 0.0027\nmid = 0.0035\n"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('unit = "pJ/bit"\nprovenance', 'unit = "pJ/access"\nprovenance', "unit of parameter '.*' must be pJ/bit, not pJ/access"),
        (
            RECORD,
            RECORD.replace("0.0035", "0.0001"),
            "parameters.add: low, mid and high must be in this order, not 0.0027, 0.0001, 0.0066",
        ),
        (RECORD, RECORD.replace("0.0027", "0"), "parameters.add.low: input should be greater than 0"),
        (RECORD, RECORD.replace("0.0027", "-inf"), "parameters.add.low: input should be a finite number"),
        (RECORD, RECORD.replace("0.0035", "nan"), "parameters.add.mid: input should be a finite number"),
        (
            'provenance = "derived"',
            'provenance = "guessed"',
            "parameters.add.provenance: input should be 'measured', .* or 'assumed'",
        ),
        ("[parameters.compare]", "[parameters.compares]", "parameter 'compare' is missing"),
        ('kind = "asic"', 'kind = "fpga"', "an FPGA set must name the parameter of block_ram in its table blocks"),
        ('kind = "asic"', 'kind = "asic"\nsecret = 1', "secret: extra inputs are not permitted"),
    ],
)
def test_wrong_file_is_refused(tmp_path, old, new, message):
    text = (FOLDER / "asic45.toml").read_text()
    assert old in text
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(FileError, match=rf"^constants file '{re.escape(str(path))}': .*{message}"):
        load_constants(path)


def test_file_must_be_toml_and_exist(tmp_path):
    path = tmp_path / "mine.toml"
    with pytest.raises(FileError, match=r"^constants file '.*mine\.toml' does not exist$"):
        load_constants(path)
    path.write_bytes(b"\xff\xfe not toml")
    with pytest.raises(FileError, match=r"^constants file '.*mine\.toml' must be TOML, and is not$"):
        load_constants(str(path))


def test_user_file_is_read_anew(tmp_path):
    path = tmp_path / "mine.toml"
    text = Path(FOLDER / "asic45.toml").read_text()
    path.write_text(text)
    assert load_constants(path)["add"].mid == 0.0035
    path.write_text(text.replace("mid = 0.0035", "mid = 0.004"))
    assert load_constants(path)["add"].mid == 0.004


def test_units_have_dimensions():
    def dimensions(unit):
        constant = Constant(low=1, mid=1, high=1, unit=unit, provenance="assumed", source="test")
        return {name: power for name, power in constant.dimensions.items() if power}

    assert dimensions("pJ/flip-flop/cycle") == {"pJ": 1, "flip-flop": -1, "cycle": -1}
    assert dimensions("mW") == {"pJ": 1, "s": -1}
    assert dimensions("1") == {}


MINE = '''base = "ice40up5k"

[parameters.ebr]
low = 4.0
mid = 5.0
high = 6.0
provenance = "measured"
source = "rail of my board, 2026"
'''


def test_a_file_on_a_base_changes_what_it_names_alone(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text(MINE)
    mine, base = load_constants(path), load_constants("ice40up5k")
    assert (mine["ebr"].mid, mine["ebr"].unit, mine["ebr"].provenance) == (5.0, "pJ/access", "measured")
    assert mine.title == "iCE40UP5K, mine.toml"
    assert mine.name == base.name  # draws of what was not changed stay common
    assert {name: record for name, record in mine.parameters.items() if name != "ebr"} == {
        name: record for name, record in base.parameters.items() if name != "ebr"
    }
    assert (mine.blocks, mine.device) == (base.blocks, base.device)
    path.write_text('title = "my board"\n' + MINE)
    assert load_constants(path).title == "my board"


def test_a_base_alone_is_the_base(tmp_path):
    path = tmp_path / "mine.toml"
    path.write_text('base = "asic45"\nflavour = "hp"\n')
    assert load_constants(path).parameters == load_constants("asic45").parameters
    assert load_constants(path).flavour == "hp"


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('"ice40up5k"', '"ice41"', "base must be one of asic45, .*, xc7, not 'ice41'"),
        ('"ice40up5k"', "[1]", r"base must be one of asic45, .*, xc7, not '\[1\]'"),
        ("parameters.ebr", "parameters.ebx", "parameter 'ebx' must be one of ice40up5k: static, clock, .*"),
        ("mid = 5.0", 'mid = 5.0\nunit = "pJ/bit"', "unit of parameter 'ebr' must be pJ/access, not pJ/bit"),
        ("mid = 5.0", "mid = nan", "parameters.ebr.mid: input should be a finite number"),
        ("low = 4.0", "low = -4.0", "parameters.ebr.low: input should be greater than 0"),
        ("low = 4.0", "low = 5.5", "parameters.ebr: low, mid and high must be in this order, not 5.5, 5, 6"),
        ("low = 4.0", "low = 1e-13", "parameters.ebr: low and high must be between 1e-12 and 1e.12, not 1e-13 and 6"),
        ("mid = 5.0", 'mid = 5.0\ndrawn_with = "eb"',
         "its tables: drawn_with of parameter 'ebr' must be a parameter that is drawn by itself, not 'eb'"),
        ("mid = 5.0", 'mid = 5.0\ndrawn_with = "toggle_local"',
         "its tables: drawn_with of parameter 'ebr' must be a parameter that is drawn by itself, not 'toggle_local'"),
        ("mid = 5.0\n", "", "parameters.ebr.mid: field required"),
        ('source = "rail of my board, 2026"', "", "parameters.ebr.source: field required"),
        ('base = "ice40up5k"', 'base = "ice40up5k"\nkind = "asic"', "with a base it may have .* and parameters, not 'kind'"),
        ("[parameters.ebr]", "[[parameters]]", "parameters must be a table"),
        ("[parameters.ebr]", "parameters.clock = 3\n[parameters.ebr]", "parameters.clock: input should be a valid dictionary.*"),
    ],
)
def test_a_wrong_file_on_a_base_is_refused(tmp_path, old, new, message):
    assert old in MINE
    path = tmp_path / "mine.toml"
    path.write_text(MINE.replace(old, new, 1))
    with pytest.raises(FileError, match=rf"^constants file '{re.escape(str(path))}': {message}$"):
        load_constants(path)


def test_a_whole_set_has_no_unknown_parameter(tmp_path):
    path = tmp_path / "mine.toml"
    record = 'low = 1\nmid = 1\nhigh = 1\nunit = "pJ/bit"\nprovenance = "assumed"\nsource = "nothing"\n'
    path.write_text((FOLDER / "asic45.toml").read_text() + "\n[parameters.adds]\n" + record)
    with pytest.raises(FileError, match=r"parameter 'adds' is none of this set's: add, compare, multiply, sram_read_lop, .*$"):
        load_constants(path)
