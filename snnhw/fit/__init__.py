"""The best of many trained networks for a board, and the largest network that fits one."""

from snnhw.fit.candidates import Candidate, find_candidates
from snnhw.fit.largest import Largest, find_largest, make_network, plan_to_fit, write_network
from snnhw.fit.select import OBJECTIVES, Wish, select

__all__ = ["OBJECTIVES", "Candidate", "Largest", "Wish", "find_candidates", "find_largest", "make_network", "plan_to_fit",
           "select", "write_network"]
