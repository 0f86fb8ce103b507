"""Decisions: how this accelerator computes a graph."""

from snnhw.plan.choices import Choices, load_plan
from snnhw.plan.plan import Control, LayerPlan, Memory, Plan, Source
from snnhw.plan.planner import DEFAULT_LANES, make_plan
from snnhw.plan.text import format_plan, plan_rows

__all__ = ["DEFAULT_LANES", "Choices", "Control", "LayerPlan", "Memory", "Plan", "Source", "format_plan", "load_plan",
           "make_plan", "plan_rows"]
