"""The data sets that are known by name: their files, where these go, and where they come from."""

import os
from dataclasses import dataclass
from pathlib import Path

import snnhw
from snnhw.errors import FileError

__all__ = ["CATALOGUE", "Archive", "Source", "data_folder"]


@dataclass(frozen=True)
class Archive:
    """What is downloaded: its name, its MD5 as tonic checks it (or nothing), and the file or folder that it is unpacked to."""

    name: str
    md5: str
    target: str


@dataclass(frozen=True)
class Source:
    """Where one data set comes from.

    Parameters
    ----------
    name : str
        As recipes write it.
    place : str
        Folder in the folder of the data; empty if it comes with a package.
    files : tuple of str
        Files and folders that are needed in it.
    content, licence : str
        What it is, and under what terms its authors publish it.
    page : str
        Where it is published.
    archives : tuple of Archive
        What to download there, where it is not the files themselves.
    tonic : str
        The class of tonic that fetches it, or nothing.
    """

    name: str
    place: str
    files: tuple[str, ...]
    content: str
    licence: str
    page: str
    archives: tuple[Archive, ...] = ()
    tonic: str = ""

    @property
    def folder(self) -> Path:
        return data_folder() / self.place

    def missing(self) -> tuple[str, ...]:
        """Return the files and folders that are not there."""
        return tuple(name for name in self.files if not self._there(self.folder / name))

    def present(self) -> Path:
        """Return the folder, or raise a FileError that says what is missing and where it goes."""
        missing = self.missing()
        if not missing:
            return self.folder
        sources = [f"{item.target} from {item.name}{f' (md5 {item.md5})' if item.md5 else ''}"
                   for item in self.archives if item.target in missing]
        where = f"; unpack {', '.join(sources)}, which {self.page} has" if sources else ""
        fetch = f", or let `snnhw data fetch {self.name}` do so" if self.tonic else ""
        raise FileError(f"the data set {self.name!r} needs {', '.join(missing)} in {str(self.folder)!r}{where}{fetch}; "
                        f"set SNNHW_DATA to the folder that contains {self.place}")

    @staticmethod
    def _there(path: Path) -> bool:
        return path.is_file() if path.suffix else path.is_dir()


def data_folder() -> Path:
    """Return the folder of the data: what ``SNNHW_DATA`` names, or ``shared/data`` beside the checkout."""
    chosen = os.environ.get("SNNHW_DATA")
    return Path(chosen) if chosen else Path(snnhw.__file__).resolve().parents[2] / "shared" / "data"


_IDX = tuple(f"{prefix}-{kind}-ubyte.gz" for prefix in ("train", "t10k") for kind in ("images-idx3", "labels-idx1"))
_GESTURES = "https://research.ibm.com/interactive/dvsgesture/"

CATALOGUE = {source.name: source for source in (
    Source("digits", "", (), "8x8 images of digits, 0..16, 10 classes", "CC BY 4.0", "scikit-learn, a package"),
    Source("mnist", "MNIST/raw", _IDX, "28x28 images of digits, 0..255, 10 classes", "CC BY-SA 3.0, as usually stated",
           "http://yann.lecun.com/exdb/mnist/"),
    Source("fashion", "FashionMNIST/raw", _IDX, "28x28 images of clothes, 0..255, 10 classes", "MIT",
           "https://github.com/zalandoresearch/fashion-mnist"),
    Source("nmnist", "NMNIST-small", ("NMNIST.tar.xz",), "events of 2x34x34 pixels, digits, 10 classes", "CC BY-SA 4.0",
           "https://www.garrickorchard.com/datasets/n-mnist"),
    Source("braille", "Braille7", ("braille7_trainval.npz",), "events of 12 taxels, 256 steps of 5 ms, 7 letters", "CC BY 4.0",
           "https://zenodo.org/records/7050094"),
    Source("gsc-kws01", "GSC-kws01", ("kws01_delta_events.npz",), "events of 20 channels, 200 steps, 35 words", "CC BY 4.0",
           "https://github.com/eembc/energyrunner"),
    Source("dvs-gesture", "DVSGesture", ("ibmGestureTrain", "ibmGestureTest"),
           "events of 2x128x128 pixels, 11 gestures, as tonic cuts them: 1077 + 264 samples", "CC BY 4.0",
           "figshare (https://figshare.com/ndownloader/files/38022171 and .../38020584)",
           (Archive("ibmGestureTrain.tar.gz", "3a8f0d4120a166bac7591f77409cb105", "ibmGestureTrain"),
            Archive("ibmGestureTest.tar.gz", "56070e45dadaa85fff82e0fbfbc06de5", "ibmGestureTest")), "DVSGesture"),
    Source("dvs128-gesture", "DVS128Gesture/events_np", ("train", "test"),
           "the same recordings as SpikingJelly cuts them: 1176 + 288 samples", "CC BY 4.0", _GESTURES,
           (Archive("DvsGesture.tar.gz with SpikingJelly's DVS128Gesture", "", "train"),
            Archive("DvsGesture.tar.gz with SpikingJelly's DVS128Gesture", "", "test"))),
    Source("shd", "SHD", ("shd_train.h5", "shd_test.h5"),
           "events of 700 channels, spoken digits in two languages, 20 classes: 8156 + 2264 samples", "CC BY 4.0",
           "https://zenkelab.org/datasets/",
           (Archive("shd_train.h5.zip", "f3252aeb598ac776c1b526422d90eecb", "shd_train.h5"),
            Archive("shd_test.h5.zip", "1503a5064faa34311c398fb0a1ed0a6f", "shd_test.h5")), "SHD"),
)}
