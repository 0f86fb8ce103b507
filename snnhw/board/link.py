"""Bytes between a host and the core on a board, for both ends: the hardware reads the constants, the host the rest.

Messages, the same in both directions; every number is little-endian:

    00                      nothing
    01 event                event: the address of a neuron in the lowest bits, and above it, in a network whose events have
                            values, the value in two's complement; whole bytes, as in ``tdata`` of the core
    02                      tick: the timestep ends
    03                      tick: the timestep and the sample end
    04 word                 word of weights, to the board only; whole bytes of the widest word of the plan
    ff                      reset the core, to the board only

Other first bytes are skipped. The board sends a timestep's events, in ascending order, and its tick.

The line has no hardware flow control. The board holds :data:`QUEUE_BYTES` bytes that the core has not taken, and
the core always takes one timestep; so a host may send the next timestep once the timesteps whose tick
has not come back hold, with the new one, at most that many bytes, or once there are none. After a lost byte, as
many zeros as the longest message bring the two ends in step, and a reset starts anew. After a reset, a core with loaded
weights needs them again, all of them, before the first spike; it takes them as fast as the line brings them.

Needs only the standard library and numpy.
"""

import sys
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from snnhw.errors import CheckFailed, FileError

__all__ = ["QUEUE_BYTES", "Code", "Decoder", "Format", "Port", "exchange", "open_port", "restart"]

QUEUE_BYTES = 512


class Code:
    """First bytes of messages."""

    NOTHING = 0x00
    SPIKE = 0x01
    TICK = 0x02
    LAST_TICK = 0x03
    WEIGHTS = 0x04
    RESET = 0xFF


@dataclass(frozen=True)
class Format:
    """Sizes of the messages of one core.

    Parameters
    ----------
    inputs, outputs : int
        Neurons whose events the core receives and sends.
    weight_bits : int
        Width of a word of loaded weights; 0 when the bitstream holds the weights.
    input_value_bits, output_value_bits : int
        Width of the signed value of an event; 0 where every event is a spike.
    result_bytes : int
        Bytes of a decision, which the core gives and the board drops; 0 when it gives none.
    """

    inputs: int
    outputs: int
    weight_bits: int = 0
    input_value_bits: int = 0
    output_value_bits: int = 0
    result_bytes: int = 0

    @property
    def input_bytes(self) -> int:
        """Bytes of an event that goes in."""
        return -(-(address_bits(self.inputs) + self.input_value_bits) // 8)

    @property
    def output_bytes(self) -> int:
        """Bytes of an event that comes out."""
        return -(-(address_bits(self.outputs) + self.output_value_bits) // 8)

    @property
    def weight_bytes(self) -> int:
        """Bytes of a word of weights."""
        return -(-self.weight_bits // 8)

    def restart(self) -> bytes:
        """Return what brings the board to its initial state, whatever it received before."""
        return bytes([Code.NOTHING]) * (1 + max(self.input_bytes, self.weight_bytes)) + bytes([Code.RESET])

    def weights(self, words: Iterable[int]) -> bytes:
        """Return the messages that load words of weights."""
        return b"".join(bytes([Code.WEIGHTS]) + int(word).to_bytes(self.weight_bytes, "little") for word in words)

    def timestep(self, events: Iterable[int], *, last: bool) -> bytes:
        """Return the messages of one timestep: its events, each an address or what :meth:`event` makes of one, and its tick."""
        spikes = b"".join(bytes([Code.SPIKE]) + int(event).to_bytes(self.input_bytes, "little") for event in events)
        return spikes + bytes([Code.LAST_TICK if last else Code.TICK])

    def event(self, address: int, value: int = 1) -> int:
        """Return the number that stands for an event that goes in."""
        return address | (value & (1 << self.input_value_bits) - 1) << address_bits(self.inputs)

    def timesteps(self, spikes: np.ndarray) -> list[bytes]:
        """Return the messages of each timestep of a sample: bool array, or int array of values, (timesteps, inputs)."""
        if spikes.ndim != 2 or spikes.shape[1] != self.inputs:
            raise ValueError(f"Spikes must have shape timesteps x {self.inputs}, not {' x '.join(map(str, spikes.shape))}")
        half = 1 << self.input_value_bits >> 1
        lowest, highest = (-half, half - 1) if self.input_value_bits else (0, 1)
        if spikes.size and (spikes.min() < lowest or spikes.max() > highest):
            raise ValueError(f"Spikes must be numbers from {lowest} to {highest}, not {spikes.min()} to {spikes.max()}")
        return [self.timestep([self.event(address, int(row[address])) for address in np.flatnonzero(row).tolist()],
                              last=index == len(spikes) - 1) for index, row in enumerate(spikes)]

    def answer(self, event: int) -> tuple[int, int] | None:
        """Return address and value of an event that came out; None for what the core cannot send."""
        bits = address_bits(self.outputs)
        address, value = event & (1 << bits) - 1, event >> bits
        if address >= self.outputs or value >> self.output_value_bits:
            return None
        if not self.output_value_bits:
            return address, 1
        return address, value - (value >> self.output_value_bits - 1 << self.output_value_bits)


def address_bits(neurons: int) -> int:
    """Return the bits of an address among `neurons`."""
    return max(1, (neurons - 1).bit_length())


class Decoder:
    """Turns the board's bytes into timesteps.

    Parameters
    ----------
    form : Format
        Sizes of the messages.
    """

    def __init__(self, form: Format):
        self.form = form
        self._pending = bytearray()
        self._spikes: list[int] = []

    def feed(self, content: bytes) -> Iterator[tuple[list[int], bool]]:
        """Take bytes; yield, for each timestep that they complete, its events and whether the sample ended."""
        self._pending += content
        size = 1 + self.form.output_bytes
        while self._pending:
            code = self._pending[0]
            if code == Code.SPIKE:
                if len(self._pending) < size:
                    return
                self._spikes.append(int.from_bytes(self._pending[1:size], "little"))
                del self._pending[:size]
                continue
            del self._pending[0]
            if code in (Code.TICK, Code.LAST_TICK):
                spikes, self._spikes = self._spikes, []
                yield spikes, code == Code.LAST_TICK


class Port(Protocol):
    """A serial line, as the host sees it."""

    def write(self, content: bytes) -> None:
        """Send all of `content`."""

    def read(self) -> bytes:
        """Return what has arrived, after waiting for the first byte; nothing when none came in time."""


def restart(port: Port, form: Format, weights: Iterable[int] = ()) -> None:
    """Bring a board to its initial state, drop what it was still sending, and load `weights`, if the core loads any."""
    port.write(form.restart())
    while port.read():
        pass
    port.write(form.weights(weights))


def exchange(port: Port, form: Format, spikes: np.ndarray) -> np.ndarray:
    """Send one sample to a board and return what its core answers.

    Parameters
    ----------
    port : Port
        The line; the core is between samples.
    form : Format
        Sizes of the messages.
    spikes : bool array, or int array of values, (timesteps, inputs)
        The sample.

    Returns
    -------
    bool array, or int64 array of values, (timesteps, outputs)
        Spikes; counts or states where events that come out have values.

    Raises
    ------
    CheckFailed
        The board stays silent, or answers what no core of this format can.
    """
    outputs = np.zeros((len(spikes), form.outputs), np.int64 if form.output_value_bits else bool)
    waiting = deque(form.timesteps(np.asarray(spikes)))
    unanswered: deque[int] = deque()
    decoder = Decoder(form)
    done = 0
    while done < len(outputs):
        while waiting and (not unanswered or sum(unanswered) + len(waiting[0]) <= QUEUE_BYTES):
            unanswered.append(len(waiting[0]))
            port.write(waiting.popleft())
        content = port.read()
        if not content:
            raise CheckFailed(f"board answered {done} of {len(outputs)} timesteps and then nothing more")
        for words, last in decoder.feed(content):
            events = [form.answer(word) for word in words]
            if not unanswered or None in events or last != (done == len(outputs) - 1):
                raise CheckFailed(f"board answered timestep {done} with spikes or a tick that the core cannot send; "
                                  f"is another network loaded?")
            for address, value in filter(None, events):
                outputs[done, address] = value
            unanswered.popleft()
            done += 1
    return outputs


class _SerialPort:
    """A serial device of the operating system, raw, 8N1."""

    def __init__(self, path: str, baud: int, timeout_s: float):
        import os
        import termios
        self._os, self._timeout_s = os, timeout_s
        rate = getattr(termios, f"B{baud}", None)
        if rate is None:
            raise FileError(f"serial port {path!r} cannot run at {baud} baud on this system")
        try:
            self._file = os.open(path, os.O_RDWR | os.O_NOCTTY | os.O_NONBLOCK)
            state = termios.tcgetattr(self._file)
            state[:6] = [0, 0, termios.CS8 | termios.CREAD | termios.CLOCAL, 0, rate, rate]
            termios.tcsetattr(self._file, termios.TCSANOW, state)
            termios.tcflush(self._file, termios.TCIOFLUSH)
        except (OSError, termios.error) as error:
            raise FileError(f"serial port {path!r} cannot be opened: {error.args[-1]}") from None

    def write(self, content: bytes) -> None:
        import select
        while content:
            select.select([], [self._file], [])
            content = content[self._os.write(self._file, content):]

    def read(self) -> bytes:
        import select
        limit = time.monotonic() + self._timeout_s
        while select.select([self._file], [], [], max(0.0, limit - time.monotonic()))[0]:
            content = self._os.read(self._file, 4096)
            if content:
                return content
        return b""


def open_port(path: str, baud: int, *, timeout_s: float = 2.0) -> Port:
    """Open the serial device of a board.

    Parameters
    ----------
    path : str
        Device, such as ``/dev/ttyUSB1``.
    baud : int
        Rate of the board file.
    timeout_s : float
        How long a silent board is waited for.
    """
    if sys.platform == "win32":
        raise FileError(f"serial port {path!r} cannot be opened on Windows; give an object with read and write instead")
    return _SerialPort(path, baud, timeout_s)
