"""Board files: ours are right, and a user's wrong one ends in one sentence."""

import importlib
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rtl_gen.board_pins import board_pins
from snnhw.assets import asset
from snnhw.board import RESOURCES, available, board_names, load_board, shortages
from snnhw.errors import BoardError

NAMES = ["arty-a7-35t", "ice40-hx8k", "icebreaker", "orangecrab-25f", "tang-nano-9k", "ulx3s-85f"]
GOOD = asset("boards", "icebreaker.toml").read_text()


def test_the_six_boards_are_there():
    assert board_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_board_is_what_its_platform_says(name):
    board = load_board(name)
    assert board.name == name
    platform = getattr(importlib.import_module(f"amaranth_boards.{board.platform.module}"), board.platform.kind)()
    assert platform.default_clk_frequency == board.clock.hz
    part = "".join(getattr(platform, key, "") for key in ("part", "device")).upper()
    assert part == board.device.upper() or board.device.upper().startswith(part)
    if board.speed_grade is not None:
        assert platform.speed == board.speed_grade
    pins = board_pins(board)
    assert list(pins) == ["clk", "uart_rx", "uart_tx", "led"]
    assert len({pin.site for pin in pins.values()}) == 4


def test_pins_of_a_connector_are_the_balls_behind_it():
    pins = board_pins(load_board("orangecrab-25f"))
    assert (pins["uart_rx"].site, pins["uart_tx"].site) == ("N17", "M18")
    assert pins["uart_rx"].attributes == {"IO_TYPE": "LVCMOS33"}
    assert pins["led"].site == "M3"
    assert pins["led"].inverted


@pytest.mark.parametrize("name", NAMES)
def test_ram_shapes_fill_their_blocks(name):
    budget = load_board(name).budget
    for part in filter(None, (budget.block_ram, budget.single_port_ram)):
        assert all(depth * width in (part.bits, part.bits * 8 // 9) for depth, width in part.shapes)


def _with(old: str, new: str) -> str:
    assert old in GOOD
    return GOOD.replace(old, new, 1)


@pytest.mark.parametrize(("text", "message"), [
    ("name = ", "must be TOML: Invalid value (at end of document)"),
    ("\ud800".encode("utf-8", "surrogatepass"), "must be TOML: text is not UTF-8"),
    ("a = " + "[" * 5000, "must be TOML: "),
    ("x = " + "9" * 5000, "must be TOML: "),
    ("", ": name: Field required"),
    (_with('family = "ice40"', 'family = "stratix"'), ": family: Input should be 'ice40', 'ecp5', 'gowin' or 'xilinx7'"),
    (_with("hz = 12_000_000", 'hz = "12"'), ": clock.hz: Input should be a valid integer"),
    (_with("hz = 12_000_000", "hz = 5"), ": clock.hz: Input should be greater than or equal to 1000000"),
    (_with("baud = 1_000_000", "baud = 5_000_000"), "uart.baud must divide the clock by at least 8 and within 2 %, not by 2.4"),
    (_with("count = 5280", "count = true"), ": budget.logic.count: Input should be a valid integer"),
    (_with("count = 5280", "count = -1"), ": budget.logic.count: Input should be greater than or equal to 0"),
    (_with("count = 30", "count = 30\nsize = 1"), ": budget.block_ram.size: Extra inputs are not permitted"),
    (_with("[256, 16]", "[256, 32]"), "shapes must hold at most 4096 bits, not 256 x 32"),
    (_with('module = "icebreaker"', 'module = "os.path"'), ": platform.module: String should match pattern"),
    (_with('kind = "ICEBreakerPlatform"', 'kind = "__class__"'), ": platform.kind: String should match pattern"),
    (_with('device = "iCE40UP5K"', 'device = "iCE40UP5K]; exec rm"'), ": device: String should match pattern"),
    (_with('device = "iCE40UP5K"', 'device = "--help"'), ": device: String should match pattern"),
    (_with('flow = "nextpnr"', 'flow = "vivado"'), "flow must be nextpnr for ice40, not vivado"),
    (_with('package = "sg48"\n', ""), "package must be given for ice40"),
    (GOOD + '[pins]\nclock = "35"\nrx = "6"\ntx = "9"\nled = "11"\n', "either platform or pins must be given, not both"),
    (_with("SB_PLL40_PAD", "EHXPLLL"),
     "pll.primitive must be SB_PLL40_PAD or SB_PLL40_CORE or SB_HFOSC for iCE40UP5K, not EHXPLLL"),
    (_with('primitive = "SB_PLL40_PAD"', 'primitive = "SB_PLL40_PAD"\nvco_hz = [9, 8]'),
     "vco_hz must be the lowest and the highest frequency, not 9 and 8"),
    (_with('primitive = "SB_PLL40_PAD"', 'primitive = "SB_PLL40_PAD"\nvco_hz = [9]'), ": pll.vco_hz: List should have at least"),
    (_with('primitive = "SB_PLL40_PAD"', 'primitive = "x"'), ": pll.primitive: Input should be 'SB_PLL40_PAD', 'SB_PLL40_CORE'"),
    (_with('source = "FT2232H', 'rx = "0"\nsource = "FT2232H'), "connector, rx and tx must be given together"),
])
def test_a_wrong_board_file_is_one_sentence(tmp_path, text, message):
    path = tmp_path / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BoardError) as caught:
        load_board(path)
    assert message in str(caught.value)
    assert str(caught.value).startswith(f"board file {str(path)!r}")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500 + len(str(path))


@given(st.text(max_size=300) | st.lists(st.sampled_from(GOOD.splitlines()), max_size=30).map("\n".join))
def test_any_text_is_a_board_or_one_sentence(tmp_path, text):
    path = tmp_path / "mine.toml"
    path.write_text(text, encoding="utf-8")
    message = ""
    try:
        load_board(path)
    except BoardError as error:
        message = str(error)
    assert "\n" not in message


def test_a_missing_or_large_file_is_one_sentence(tmp_path):
    with pytest.raises(BoardError, match="does not exist"):
        load_board(tmp_path / "none.toml")
    (tmp_path / "large.toml").write_text("#" * 70_000)
    with pytest.raises(BoardError, match="must be at most 65536 bytes"):
        load_board(tmp_path / "large.toml")


@pytest.mark.parametrize("name", ["icebraker", "", "..", "\x1b[31m", "a" * 500])
def test_an_unknown_board_lists_the_known(name):
    with pytest.raises(BoardError, match=f"^board must be {', '.join(NAMES)} or the path of a board file, not "):
        load_board(name)


def test_a_users_board_brings_its_own_pins(tmp_path):
    table = '[pins]\nclock = "35"\nrx = "6"\ntx = "9"\nled = "11"\nled_inverted = true\nattributes = { PULLUP = "1" }\n'
    start = GOOD.index("[platform]")
    path = tmp_path / "mine.toml"
    path.write_text((GOOD[:start] + GOOD[GOOD.index("[clock]"):] + table).replace('name = "icebreaker"', 'name = "mine"'))
    pins = board_pins(load_board(path))
    assert pins["uart_rx"].site == "6"
    assert pins["uart_rx"].attributes == {"PULLUP": "1"}
    assert (pins["led"].inverted, pins["clk"].inverted) == (True, False)


@pytest.mark.parametrize(("old", "new", "message"), [
    ('module = "icebreaker"', 'module = "icebraker"', "platform.module must be a module of amaranth-boards, not 'icebraker'"),
    ('kind = "ICEBreakerPlatform"', 'kind = "Connector"',
     "platform.kind must be a platform class of amaranth_boards.icebreaker, not 'Connector'"),
    ('kind = "ICEBreakerPlatform"', 'kind = "LatticeICE40Platform"',
     "platform.kind must be a platform class of amaranth_boards.icebreaker, not 'LatticeICE40Platform'"),
    ('led = "led_g"', 'led = "lamp"', "lacks a resource: Resource lamp#0 does not exist"),
    ('led = "led_g"', 'led = "led_g"\nled_part = "x"', "lacks a resource: resource 'led_g' has no part 'x'"),
])
def test_a_wrong_platform_is_one_sentence(tmp_path, old, new, message):
    path = tmp_path / "mine.toml"
    path.write_text(_with(old, new))
    with pytest.raises(BoardError) as caught:
        board_pins(load_board(path))
    assert message in str(caught.value)


def test_what_fits_has_no_shortage():
    board = load_board("icebreaker")
    assert shortages(available(board), board, "network 'x'") == []
    assert set(available(board)) == set(RESOURCES)


def test_a_shortage_says_what_how_much_and_what_to_do():
    board = load_board("icebreaker")
    assert shortages({"block_ram": 110}, board, "network 'x'") == [
        "network 'x' needs 110 SB_RAM40_4K blocks, 1BitSquared iCEBreaker 1.0 (iCE40UP5K) has 30: load the weights "
        "at run time into its SB_SPRAM256KA blocks, or use fewer weight bits or fewer neurons, "
        "or use a larger board (tang-nano-9k, orangecrab-25f, arty-a7-35t)"]
    assert "load the weights" not in shortages({"block_ram": 110}, board, "network 'x'", weights_loaded=True)[0]
    sentence, = shortages({"logic": 6000}, board, "network 'x'")
    assert sentence.endswith("has 5280: use fewer lanes or a narrower state, "
                             "or use a larger board (ice40-hx8k, tang-nano-9k, arty-a7-35t)")
    assert shortages({"logic": 10**7}, board, "network 'x'")[0].endswith("use fewer lanes or a narrower state")


def test_every_board_file_is_plain_toml():
    for name in NAMES:
        assert tomllib.loads(asset("boards", f"{name}.toml").read_text())["name"] == name
