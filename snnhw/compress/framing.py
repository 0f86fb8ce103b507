"""Events to frames: a recording becomes a fixed number of timesteps, each an integer per input."""

import math
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from snnhw.errors import UsageError

__all__ = ["VALUES_LIMIT", "EventConfig", "Events", "Framer"]

VALUES_LIMIT = 1 << 31  # of one split; a value is a byte


class EventConfig(BaseModel):
    """How the events of a recording become the timesteps of a sample.

    Parameters
    ----------
    framing : str or None
        ``"count"``: each timestep takes as many events as the others, ``N // T`` in the order of the recording, and the last one
        also what is left; a recording of fewer than T events has them all in the last. ``"time"``: bins of `bin_us`; later
        events are left out. ``"span"``: bins of ``(last - first) // T`` microseconds, so that the recording fills all timesteps;
        the last one also takes what is left. None: what is usual for the data set.
    bin_us : int or None
        Microseconds of a timestep of ``"time"``. None: what is usual for the data set.
    downsample : int
        Side of a square of pixels that becomes one, or the number of neighbouring channels that become one. It must divide
        the sides of the sensor.
    polarity : str
        Whether events of both polarities stay ``"separate"`` inputs, or are ``"merged"``.
    levels : int
        Largest value of an input, which is the number of its events in a timestep, or this if there are more. 1 makes
        inputs binary.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    framing: Literal["count", "time", "span"] | None = None
    bin_us: Annotated[int, Field(ge=1, le=1 << 32)] | None = None
    downsample: Annotated[int, Field(ge=1, le=1 << 10)] = 1
    polarity: Literal["separate", "merged"] = "separate"
    levels: Annotated[int, Field(ge=1, le=255)] = 1


class Events(NamedTuple):
    """One recording.

    Attributes
    ----------
    time_us : int array, (events,)
        Microseconds from 0, not necessarily in order.
    place : int array, (events,)
        Which element of the sensor, counted through its shape with the last axis fastest.
    """

    time_us: np.ndarray
    place: np.ndarray


class Framer:
    """Turns recordings of one sensor into frames.

    Parameters
    ----------
    what : str
        Names the data set in messages.
    shape : tuple of int
        Of the sensor: ``(polarities, height, width)``, or ``(channels,)``.
    timesteps : int
        Frames of a sample, T.
    config : EventConfig
        How; its `framing` and `bin_us` must be given, the latter for framing ``"time"``.

    Attributes
    ----------
    shape : tuple of int
        Of a frame.
    inputs : int
        Their product.
    """

    def __init__(self, what: str, shape: tuple[int, ...], timesteps: int, config: EventConfig):
        assert config.framing is not None
        assert config.framing != "time" or config.bin_us is not None
        sides, factor = shape[-2:] if len(shape) == 3 else shape, config.downsample
        if any(side % factor for side in sides):
            text = " and ".join(map(str, sorted(set(sides))))
            raise UsageError(f"events.downsample of {what} must divide {text}, not be {factor}")
        if config.polarity == "merged" and len(shape) != 3:
            raise UsageError(f"events.polarity of {what} must be 'separate', because its events have none")
        places = np.indices(shape)
        places[-len(sides):] //= factor
        if config.polarity == "merged":
            places[0] = 0
        self.shape = tuple(int(axis.max()) + 1 for axis in places)
        self.inputs = math.prod(self.shape)
        self._input = np.ravel_multi_index(tuple(places), self.shape).ravel()  # of each element of the sensor
        self._what, self._timesteps, self._config = what, timesteps, config

    def check(self, samples: int) -> None:
        """Refuse a split that is too large for the memory."""
        if samples * self._timesteps * self.inputs > VALUES_LIMIT:
            raise UsageError(f"{self._what} of {samples} samples with {self._timesteps} timesteps and {self.inputs} inputs must "
                             f"be at most {VALUES_LIMIT} values; choose fewer timesteps or samples")

    def split(self, samples: int, recordings: Iterable[Events]) -> np.ndarray:
        """Return the frames of so many recordings: uint8 array, (samples, timesteps, inputs)."""
        self.check(samples)
        values = np.zeros((samples, self._timesteps, self.inputs), np.uint8)
        for frames, events in zip(values, recordings, strict=True):
            self._draw(frames, events)
        return values

    def _draw(self, frames: np.ndarray, events: Events) -> None:
        steps = self._steps(events.time_us)
        kept = steps < self._timesteps
        flat = steps[kept] * self.inputs + self._input[events.place[kept]]
        if self._config.levels == 1:
            frames.reshape(-1)[flat] = 1
        else:
            places, counts = np.unique(flat, return_counts=True)
            frames.reshape(-1)[places] = np.minimum(counts, self._config.levels)

    def _steps(self, time_us: np.ndarray) -> np.ndarray:
        """Return the timestep of each event; T or more for one that is left out."""
        if self._config.framing == "time":
            return time_us // self._config.bin_us
        last = self._timesteps - 1
        if self._config.framing == "count":
            each = len(time_us) // self._timesteps
            return np.minimum(np.arange(len(time_us)) // each, last) if each else np.full(len(time_us), last)
        first = time_us.min(initial=np.iinfo(np.int64).max)
        each = max(1, (time_us.max(initial=first) - first) // self._timesteps)
        return np.minimum((time_us - first) // each, last)
