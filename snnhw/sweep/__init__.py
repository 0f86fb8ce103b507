"""Search: many candidates of a network and its hardware, the bad ones dropped early, the best ones built."""

from snnhw.sweep.flow import Status, run_sweep
from snnhw.sweep.study import METRICS, Study, load_study

__all__ = ["METRICS", "Status", "Study", "load_study", "run_sweep"]
