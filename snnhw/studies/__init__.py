"""Studies: the claims of the papers, measured on our own networks, hardware and data."""

from snnhw.studies.cache import RunCache
from snnhw.studies.claims import Bench, Claim, check_hardware, choose_claims, fill_grid, grid_of, run_claims
from snnhw.studies.figures import figure_data
from snnhw.studies.page import claims_page
from snnhw.studies.verdicts import Outcome

__all__ = [
    "Bench",
    "Claim",
    "Outcome",
    "RunCache",
    "check_hardware",
    "choose_claims",
    "claims_page",
    "figure_data",
    "fill_grid",
    "grid_of",
    "run_claims",
]
