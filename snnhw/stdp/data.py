"""Still images for networks that learn without labels: a training, a validation and a test split."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from snnhw.errors import UsageError
from snnhw.tools import require_package

__all__ = ["StdpData", "load_stdp_data"]


@dataclass(frozen=True, eq=False)
class StdpData:
    """Three splits of still samples.

    Parameters
    ----------
    name : str
        For reports.
    train_values, validation_values, test_values : uint8 or uint16 arrays, (samples, inputs)
    train_labels, validation_labels, test_labels : int64 arrays, (samples,)
        Classes from 0. Training does not look at them.
    """

    name: str
    train_values: np.ndarray
    train_labels: np.ndarray
    validation_values: np.ndarray
    validation_labels: np.ndarray
    test_values: np.ndarray
    test_labels: np.ndarray

    @property
    def inputs(self) -> int:
        return int(self.train_values.shape[1])

    @property
    def classes(self) -> int:
        return int(max(self.train_labels.max(), self.test_labels.max())) + 1

    @property
    def levels(self) -> int:
        """Largest value."""
        return int(max(self.train_values.max(), self.test_values.max()))

    def first(self, train: int, validation: int | None = None) -> "StdpData":
        """Return the first samples of each split, all of the test split."""
        return replace(self, train_values=self.train_values[:train], train_labels=self.train_labels[:train],
                       validation_values=self.validation_values[:validation],
                       validation_labels=self.validation_labels[:validation])


def load_stdp_data(source: str, folder: Path, *, validation: int = 5000) -> StdpData:
    """Load a data set by name, or a file in `folder`, and keep the last training samples apart for validation."""
    require_package("torch", "train", "reading data sets")  # the room that reads them imports it
    from snnhw.compress.data import load_dataset

    data = load_dataset(source, 0, folder)
    if data.train_values.ndim != 2:
        raise UsageError(f"recipe data for STDP must have samples of shape (inputs,), not {data.train_values.shape[1:]}")
    if validation >= len(data.train_values):
        raise UsageError(f"recipe validation must be less than the {len(data.train_values)} training samples, not {validation}")
    cut = len(data.train_values) - validation
    return StdpData(data.name, data.train_values[:cut], data.train_labels[:cut], data.train_values[cut:],
                    data.train_labels[cut:], data.test_values, data.test_labels)
