"""The bytes between host and board: both directions, the window, and a line that loses bytes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from snnhw.board.link import QUEUE_BYTES, Code, Decoder, Format, exchange, open_port, restart
from snnhw.errors import CheckFailed, FileError

LINE = Format(inputs=300, outputs=5, weight_bits=20)


class FakeBoard:
    """Port of a board that answers each timestep with some of its own addresses, and checks the window."""

    def __init__(self, form: Format, answer=None, chunk: int = 3):
        self.form, self.chunk = form, chunk
        self.answer = answer or (lambda addresses: sorted({address % form.outputs for address in addresses}))
        self._inputs = Decoder(Format(1, form.inputs))
        self._mirror = Format(form.outputs, 1)
        self._out = bytearray()
        self.unanswered = []
        self.windows = []

    def write(self, content: bytes) -> None:
        self.windows.append([*self.unanswered, len(content)])
        self.unanswered.append(len(content))
        for addresses, last in self._inputs.feed(content):
            self._out += self._mirror.timestep(self.answer(addresses), last=last)

    def read(self) -> bytes:
        content = bytes(self._out[:self.chunk])
        del self._out[:self.chunk]
        for code in content:
            if code in (Code.TICK, Code.LAST_TICK) and self.unanswered:
                self.unanswered.pop(0)
        return content


def test_messages_are_the_documented_bytes():
    form = Format(inputs=300, outputs=5, weight_bits=20)
    assert form.timestep([1, 299], last=False) == bytes.fromhex("01 0100 01 2b01 02")
    assert form.timestep([], last=True) == b"\x03"
    assert form.weights([0x12345, 1]) == bytes.fromhex("04 452301 04 010000")
    assert form.restart() == bytes.fromhex("00000000 ff")
    assert Format(256, 256).timestep([255], last=False) == bytes.fromhex("01 ff 02")
    assert Format(1, 1).input_bytes == 1
    assert Format(257, 65536).output_bytes == 2


def test_an_event_with_a_value_is_its_address_below_its_value():
    form = Format(inputs=6, outputs=3, input_value_bits=4, output_value_bits=9)
    assert (form.input_bytes, form.output_bytes) == (1, 2)
    assert form.timesteps(np.array([[0, -3, 0, 0, 7, 0], [0] * 6])) == [bytes.fromhex("01 69 01 3c 02"), b"\x03"]
    assert form.answer(0b0_0000_0101_10) == (2, 5)
    assert form.answer(0b1_1111_1011_00) == (0, -5)
    assert form.answer(0b1_0000_0000_01) == (1, -256)
    assert form.answer(0b0_0000_0101_11) is None
    assert form.answer(1 << 11) is None
    assert Format(300, 5).answer(1 << 3) is None


@pytest.mark.parametrize(("value_bits", "value", "message"), [
    (0, 2, "^Spikes must be numbers from 0 to 1, not 0 to 2$"), (0, -1, "^Spikes must be numbers from 0 to 1, not -1 to 0$"),
    (4, 8, "^Spikes must be numbers from -8 to 7, not 0 to 8$"), (4, -9, "^Spikes must be numbers from -8 to 7, not -9 to 0$")])
def test_values_that_no_event_has_are_refused(value_bits, value, message):
    with pytest.raises(ValueError, match=message):
        Format(2, 2, input_value_bits=value_bits).timesteps(np.array([[0, value]]))


@given(seed=st.integers(0, 1 << 16), timesteps=st.integers(1, 6))
def test_values_go_there_and_back(seed, timesteps):
    """A board that sends back the values of its first inputs, zeros included."""
    form = Format(inputs=300, outputs=7, input_value_bits=5, output_value_bits=5)
    values = np.random.default_rng(seed).integers(-16, 16, (timesteps, 300))
    reader = Format(7, 300, output_value_bits=5)
    writer = Format(7, 1, input_value_bits=5)

    class Echo(FakeBoard):
        def write(self, content: bytes) -> None:
            self.unanswered.append(len(content))
            for events, last in self._inputs.feed(content):
                given = dict(map(reader.answer, events))
                self._out += writer.timestep([writer.event(k, given.get(k, 0)) for k in range(7)], last=last)
    board = Echo(form)
    board._inputs = Decoder(reader)
    outputs = exchange(board, form, values)
    assert outputs.dtype == np.int64
    assert (outputs == values[:, :7]).all()


@given(steps=st.lists(st.sets(st.integers(0, 299)), min_size=1, max_size=6), cuts=st.lists(st.integers(1, 7), max_size=40))
def test_a_decoder_inverts_the_encoder_however_the_bytes_arrive(steps, cuts):
    content = b"".join(LINE.timestep(sorted(step), last=index == len(steps) - 1) for index, step in enumerate(steps))
    decoder, got = Decoder(Format(5, 300)), []
    for size in cuts:
        got += decoder.feed(content[:size])
        content = content[size:]
    got += decoder.feed(content)
    assert [(set(spikes), last) for spikes, last in got] == [(step, index == len(steps) - 1) for index, step in enumerate(steps)]


@given(seed=st.integers(0, 1 << 16), rate=st.sampled_from([0.0, 0.05, 0.5, 1.0]), timesteps=st.integers(1, 12))
def test_an_exchange_stays_within_the_queue(seed, rate, timesteps):
    spikes = np.random.default_rng(seed).random((timesteps, 300)) < rate
    board = FakeBoard(LINE)
    outputs = exchange(board, LINE, spikes)
    expected = np.array([[(row[residue::5]).any() for residue in range(5)] for row in spikes])
    assert (outputs == expected).all()
    assert all(len(window) == 1 or sum(window) <= QUEUE_BYTES for window in board.windows)
    if rate == 0.0 and timesteps > 1:
        assert max(map(len, board.windows)) > 1, "short timesteps must be sent ahead"


def test_a_silent_board_is_a_failed_check():
    class Silent(FakeBoard):
        def read(self) -> bytes:
            return b""
    with pytest.raises(CheckFailed, match="board answered 0 of 3 timesteps and then nothing more"):
        exchange(Silent(LINE), LINE, np.zeros((3, 300), bool))


@pytest.mark.parametrize("answer", [lambda addresses: [7]])
def test_an_answer_of_another_network_is_a_failed_check(answer):
    with pytest.raises(CheckFailed, match="board answered timestep 0 with spikes or a tick that the core cannot send"):
        exchange(FakeBoard(LINE, answer), LINE, np.zeros((3, 300), bool))


def test_a_sample_that_ends_early_is_a_failed_check():
    class Early(FakeBoard):
        def read(self) -> bytes:
            return bytes([Code.LAST_TICK])
    with pytest.raises(CheckFailed, match="timestep 0"):
        exchange(Early(LINE), LINE, np.zeros((3, 300), bool))


def test_spikes_of_another_shape_are_refused():
    with pytest.raises(ValueError, match="Spikes must have shape timesteps x 300, not 3 x 4"):
        LINE.timesteps(np.zeros((3, 4), bool))


def test_a_restart_drops_what_was_under_way_and_loads():
    class Chatty(FakeBoard):
        def __init__(self):
            super().__init__(LINE)
            self.rest, self.written = [b"\x01", b"\x02"], b""

        def write(self, content: bytes) -> None:
            self.written += content

        def read(self) -> bytes:
            return self.rest.pop(0) if self.rest else b""
    board = Chatty()
    restart(board, LINE, [5])
    assert not board.rest
    assert board.written == LINE.restart() + LINE.weights([5])


def test_a_serial_port_carries_bytes_both_ways():
    import os
    import pty
    import tty
    ours, theirs = pty.openpty()
    try:
        tty.setraw(theirs)
        port = open_port(os.ttyname(theirs), 115_200, timeout_s=0.2)
        port.write(bytes(range(256)))
        got = b""
        while len(got) < 256:
            got += os.read(ours, 256)
        assert got == bytes(range(256))
        os.write(ours, b"\x00\xff\x0d\x0a\x11\x13")
        assert port.read() == b"\x00\xff\x0d\x0a\x11\x13"
        assert port.read() == b""
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_port_that_cannot_be_opened_is_one_sentence(tmp_path):
    with pytest.raises(FileError, match="cannot be opened"):
        open_port(str(tmp_path / "ttyUSB0"), 115_200)
    with pytest.raises(FileError, match="cannot run at 123457 baud"):
        open_port("/dev/null", 123_457)
