"""Studies for tests, and an engine that makes results up instead of training."""

from pathlib import Path

from snnhw.files import read_json, write_json
from snnhw.sweep.engine import Done
from snnhw.sweep.stages import PRETRAIN, load_setting

STUDY = """
model = "digits"
objectives = ["accuracy", "logic"]
candidates = 12
round = 4
seed = 3

[space]
quantize.weight_bits = [2, 3, 4, 6, 8]
prune.sparsity = {low = 0.0, high = 0.9, step = 0.1}
plan.lanes = [1, 2, 4, 8]

[sampler]
startup = 4

[stages.short]
epochs = 0.5
keep = 0.75

[stages.full]
keep = 5

[stages.verify]
keep = 4

[stages.synthesis]
keep = "front"
"""


def write_study(folder: Path, text: str = STUDY, **changes: str) -> Path:
    """Write a study file, with lines exchanged."""
    for old, new in changes.items():
        assert f"{old} = " in text
        text = "\n".join(new if line.startswith(f"{old} = ") else line for line in text.splitlines())
    path = folder / "study.toml"
    path.write_text(text)
    return path


def made_up(setting, stage: str) -> dict:
    """Return a result that depends on the parameters and on the stage alone, as a real one does."""
    bits, sparsity, lanes = (setting.values[name] for name in ("quantize.weight_bits", "prune.sparsity", "plan.lanes"))
    training = {"estimate": 0.5, "short": 0.8}.get(stage, 1.0)
    metrics = {"accuracy": training * (1 - 0.3 / bits - 0.2 * sparsity ** 3), "logic": 300 + 40 * bits * lanes,
               "energy_nj": 10 * bits * (1 - sparsity), "latency_us": 900 / lanes, "cycles": 10800 / lanes, "flip_flops": 100,
               "block_ram": 4, "dsp": 0, "memory_bits": 9000 * bits, "weight_memory_bits": 8000 * bits}
    result = {"ok": True, "problem": None, "metrics": metrics, "board": {"missing": 0.0, "problem": ""}}
    if lanes == 8 and bits == 8:
        result["board"] = {"missing": 0.5, "problem": "network is too large"}
    if lanes == 1 and bits == 3:
        result = {"ok": False, "problem": "layer 'fc1' (Linear): made up to fail"}
    if stage == "verify":
        result = {"ok": True, "problem": None, "verification": {"spike_mismatches": 0}}
    if stage == "synthesis":
        metrics["logic"] -= 7
        slow = lanes == 4 and bits == 6
        result |= {"comparison": {"logic": {"estimate": metrics["logic"] + 7, "measured": metrics["logic"]}},
                   "verdict": "misses its clock" if slow else "fits", "meets_clock": not slow, "fmax_mhz": 40.0}
    return result


class MadeUpEngine:
    """Runs jobs in this process, one for each call of `gather`.

    Parameters
    ----------
    stop_after : int or None
        Raise KeyboardInterrupt in the place of the job after so many: a crash.
    deaths : set of (int, str)
        Jobs whose worker ends without an answer, every time.
    """

    def __init__(self, stop_after: int | None = None, deaths: set[tuple[int, str]] = frozenset()):
        self.waiting, self.ran, self.stop_after, self.deaths = [], [], stop_after, deaths

    def submit(self, job):
        self.waiting.append(job)

    def gather(self, timeout_s):
        if self.stop_after is not None and len(self.ran) >= self.stop_after:
            raise KeyboardInterrupt
        # The last comes first, as it may on an engine with several workers.
        job = self.waiting.pop()
        number, stage = job["number"], job["stage"]
        self.ran.append((number, stage))
        if (number, stage) in self.deaths:
            return [Done(job, died=True)]
        setting = load_setting(Path(job["folder"]), number)
        path = setting.floats.with_suffix(".json") if stage == PRETRAIN else setting.trial / f"{stage}.json"
        assert not path.exists(), "a job that was over ran again"
        content = {"ok": True, "problem": None} if stage == PRETRAIN else made_up(setting, stage)
        write_json(path, {"schema": 1, "stage": stage, "number": number, **content, "seconds": 1.0})
        return [Done(job, read_json(path, "result"))]

    def close(self):
        pass
