"""STDP networks on disk: one safetensors file, integers where the words are fixed-point."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pydantic import ValidationError

from snnhw.errors import FileError
from snnhw.files import parse_json, read_tensors, write_tensors
from snnhw.stdp.config import CompetitionConfig, EncodingConfig, FormatConfig, NeuronConfig
from snnhw.stdp.formats import Formats
from snnhw.stdp.labels import VOTES, Vote, vote_table
from snnhw.stdp.network import StdpNetwork

__all__ = ["StdpModel", "load_stdp_model", "save_stdp_model"]

FORMAT = "snnhw stdp network"
WORDS = ("weight", "threshold")


@dataclass(frozen=True, eq=False)
class StdpModel:
    """A network and what its neurons stand for.

    Parameters
    ----------
    network : StdpNetwork
        The network.
    response : float64 array, (classes, neurons)
        Mean spike counts of labelled training samples.
    vote : str
        How spikes decide.
    data : str
        Data set it was trained on.
    """

    network: StdpNetwork
    response: np.ndarray
    vote: Vote
    data: str

    @property
    def table(self) -> np.ndarray:
        """Weight of each neuron's spikes for each class: int64, (neurons, classes)."""
        return vote_table(self.response, self.vote)


def save_stdp_model(model: StdpModel, path: Path) -> None:
    """Write a network with its labels."""
    network = model.network
    tensors = {"response": model.response}
    for name in WORDS:
        values, form = getattr(network, name), getattr(network.formats, name)
        if form is not None:
            values = np.round(values.astype(np.float64) * 2 ** form.fraction)
            values = values.astype(next(kind for kind in (np.uint8, np.int16, np.int32)
                                        if np.iinfo(kind).min <= values.min() and values.max() <= np.iinfo(kind).max))
        tensors[name] = values
    formats = {name: None if (form := getattr(network.formats, name)) is None else str(form)
               for name in ("weight", "membrane", "threshold", "trace")}
    description = {
        "format": FORMAT, "version": 1, "data": model.data, "vote": model.vote, "timesteps": network.timesteps,
        "encoding": network.encoding.model_dump(), "neuron": network.neuron.model_dump(),
        "competition": network.competition.model_dump(),
        "formats": formats | {"rounding": network.formats.rounding}, "leak_rounding": network.formats.leak_rounding}
    write_tensors(path, tensors, {"stdp": json.dumps(description)})


def load_stdp_model(path: Path) -> StdpModel:
    """Read a network with its labels; refuse what is no such file."""
    tensors, metadata = read_tensors(path, "STDP network")
    wrong = FileError(f"STDP network {str(path)!r} must be one that `snnhw stdp train` wrote, and is damaged or something else")
    try:
        description = parse_json(metadata["stdp"].encode())
        if description["format"] != FORMAT or description["version"] != 1 or description["vote"] not in VOTES:
            raise wrong
        formats = FormatConfig(**description["formats"]).formats
        formats = Formats(formats.weight, formats.membrane, formats.threshold, formats.trace, formats.rounding,
                          description["leak_rounding"])
        words = {}
        for name in WORDS:
            values, form = tensors[name], getattr(formats, name)
            if (form is None) != (values.dtype.kind == "f"):
                raise wrong
            if form is not None and values.size and not (form.steps[0] <= values.min() and values.max() <= form.steps[1]):
                raise wrong
            words[name] = (values if form is None else values * form.step).astype(np.float32)
        timesteps, response = description["timesteps"], tensors["response"]
        network = StdpNetwork(words["weight"], words["threshold"], timesteps, EncodingConfig(**description["encoding"]),
                              NeuronConfig(**description["neuron"]), CompetitionConfig(**description["competition"]), formats)
        if (type(timesteps) is not int or not 1 <= timesteps <= 1 << 16 or response.dtype != np.float64 or response.ndim != 2
                or response.shape[1] != network.neurons or not np.isfinite(response).all() or response.min(initial=0) < 0
                or network.weight.min(initial=0) < 0):
            raise wrong
        return StdpModel(network, response, description["vote"], str(description["data"]))
    except (KeyError, TypeError, ValueError, AttributeError, ValidationError):
        raise wrong from None
