"""What a comparison means, in sentences that its numbers decide."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from snnhw.cost.bands import Band
from snnhw.cost.correlation import RankCorrelation
from snnhw.cost.factors import RungFactors

if TYPE_CHECKING:
    from snnhw.cost.compare import Comparison, RatioRow

__all__ = ["ORDER_KEPT", "ORDER_MOSTLY_KEPT", "conclude", "plain_number"]

ORDER_KEPT, ORDER_MOSTLY_KEPT = 0.9, 0.7
"""Kendall's tau from which an order is called kept, and mostly kept: 5 and 15 of 100 pairs turned round."""

MAX_PAIRS = 6
ACTIVITY = ("R4", "R3", "R2")  # the best evidence first


def plain_number(value: float) -> str:
    """Return a number with three digits, without an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _band(band: Band) -> str:
    return f"{plain_number(band.low)} to {plain_number(band.high)}"


def _listed(names: Sequence[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def conclude(comparison: "Comparison") -> tuple[str, ...]:
    """Return the sentences, the most important first. A comparison that decides nothing says so."""
    sentences = [_coverage(comparison)]
    sentences += _ratio_sentences(comparison)
    measured = next((rung for rung in ACTIVITY if rung in comparison.rungs), None)
    for formula in ("A1", "A2"):
        if measured is not None and (found := comparison.correlation(formula, measured)) is not None:
            sentences += _tau_sentences(found)
    for step in comparison.factors:
        if measured is not None and step.upper == measured and step.lower in ("A1", "A2"):
            sentences += _factor_sentences(step)
    sentences += _textbook_sentences(comparison, measured)
    sentences += _front_sentences(comparison, measured)
    sentences += _violation_sentences(comparison)
    sentences += _assumed_sentences(comparison)
    return tuple(sentences)


def _coverage(comparison: "Comparison") -> str:
    count = len(comparison.points)
    rungs = [rung for rung in comparison.rungs if not rung.startswith("R1")]  # the counts of A1 and A2, measured
    everywhere = [rung for rung in rungs if all(rung in point.energies for point in comparison.points)]
    parts = [f"{count} design point{'s' if count != 1 else ''} on the rung{'s' if len(everywhere) != 1 else ''} "
             f"{_listed(everywhere)}" if everywhere else f"{count} design points without a rung that all of them have"]
    parts += [f"{rung} on {sum(rung in point.energies for point in comparison.points)} of them"
              for rung in rungs if rung not in everywhere]
    return "Compared: " + ", ".join(parts) + "."


def _ratio_sentences(comparison: "Comparison") -> list[str]:
    found: dict[tuple[str, str], list[RatioRow]] = {}
    for row in comparison.ratios:
        # Counts that are measured equal those that are predicted, so R1 repeats A1 and A2.
        if not row.rung.startswith("R1"):
            found.setdefault((row.over, row.under), []).append(row)
    sentences = []
    for (over, under), rows in list(found.items())[:MAX_PAIRS]:
        verdicts = {row.verdict for row in rows}
        said = "; ".join(f"{row.rung} {plain_number(row.mid)} ({_band(row.band)})" for row in rows)
        text = f"Energy of '{over}' over '{under}': {said}."
        if verdicts == {"dearer"}:
            text += f" '{under}' is cheaper on every rung, with bands that stay above 1."
        elif verdicts == {"cheaper"}:
            text += f" '{over}' is cheaper on every rung, with bands that stay below 1."
        elif {"dearer", "cheaper"} <= verdicts:
            sides = [f"'{over}' is {verdict} under {_listed([row.rung for row in rows if row.verdict == verdict])}"
                     for verdict in ("cheaper", "dearer")]
            text += f" The rungs contradict each other, beyond their bands: {', '.join(sides)}."
        elif verdicts == {"equal"}:
            text += " They are equal."
        else:
            unsure = [row.rung for row in rows if row.verdict == "undecided"]
            if unsure:
                text += f" Under {_listed(unsure)} the band contains 1: these constants do not decide it there."
            sides = [f"{verdict} under {_listed([row.rung for row in rows if row.verdict == verdict])}"
                     for verdict in ("cheaper", "dearer", "equal") if verdict in verdicts]
            if sides:
                text += f" '{over}' is {_listed(sides)}."
        sentences.append(text)
    if len(found) > MAX_PAIRS:
        more = len(found) - MAX_PAIRS
        sentences.append(f"Of {more} more {'pair' if more == 1 else 'pairs'} the ratios are in the table.")
    return sentences


def _tau_sentences(found: RankCorrelation) -> list[str]:
    if found.tau is None or found.band is None:
        return [f"{found.first} and {found.second} cannot be compared as rankings: there are too few points, or all are equal."]
    few = f" With {found.points} points this is an indication, no more." if found.points < 8 else ""
    verdict = ("may be used to order designs like these" if found.tau >= ORDER_KEPT else
               "orders most of them right, and close decisions need the activity" if found.tau >= ORDER_MOSTLY_KEPT else
               "must not be used to choose between them")
    text = (f"{found.first} and {found.second} order the {found.points} points with a Kendall tau of {found.tau:.2f} "
            f"({found.band.low:.2f} to {found.band.high:.2f} over the constants); {found.discordant} of {found.pairs} pairs are "
            f"ordered differently: {found.first} {verdict}.{few}")
    sentences = [text]
    if found.disagreements:
        worst = found.disagreements[0]
        sentences.append(
            f"{found.first} misleads most about '{worst.dearer}' against '{worst.cheaper}': it says "
            f"{plain_number(worst.first.median)} ({_band(worst.first)}), {found.second} says "
            f"{plain_number(worst.second.median)} ({_band(worst.second)}).")
    return sentences


def _factor_sentences(found: RungFactors) -> list[str]:
    if len(found.mids) < 2:
        return []
    hardware = f" This is of different hardware: {found.note.removeprefix('different hardware: ')}." if found.note else ""
    lead = found.parts[0] if found.parts else None
    text = (f"{found.upper} is {plain_number(found.mids[found.smallest])} ('{found.smallest}') to "
            f"{plain_number(found.mids[found.largest])} ('{found.largest}') times {found.lower}.{hardware}")
    if found.spread_mid > 1.001 and lead is not None:
        text += (f" A ratio of two of these points that is taken from {found.lower} can be wrong by a factor of "
                 f"{plain_number(found.spread_mid)} ({_band(found.spread)}); most of that is '{lead.kind}', which makes "
                 f"{plain_number(lead.largest)} of the larger factor and {plain_number(lead.smallest)} of the smaller.")
    else:
        text += " The factor is the same everywhere, so that ratios do not change."
    if len(found.steps) > 1:
        text += (" At its largest it is "
                 + " times ".join(f"{plain_number(factor)} ({one} to {other})" for one, other, factor in found.steps) + ".")
    return [text]


def _textbook_sentences(comparison: "Comparison", measured: str | None) -> list[str]:
    if measured is None:
        return []
    found = [f"{row.model} {row.tau[measured]:.2f}" for row in comparison.textbook if measured in row.tau]
    if not found:
        return []
    return [f"Models of papers order the points as {measured} does with a Kendall tau of {_listed(found)}; their joules are of "
            "other hardware and are not compared."]


def _front_sentences(comparison: "Comparison", measured: str | None) -> list[str]:
    formula = comparison.fronts.get("A1")
    actual = comparison.fronts.get(measured) if measured else None
    if not formula or not actual or measured is None or len({point.accuracy for point in comparison.points}) == 1:
        return []
    known = {name for name in formula if measured in next(p for p in comparison.points if p.name == name).energies}
    missed, extra = [name for name in actual if name not in formula], [name for name in formula if name in known - set(actual)]
    verb = "are" if len(actual) > 1 else "is alone"
    text = f"On the front of accuracy against energy under {measured} {verb} {_listed([repr(name) for name in actual])}."
    if not missed and not extra:
        return [text + " A1 has the same front."]
    if missed:
        text += f" A1 misses {_listed([repr(name) for name in missed])}."
    if extra:
        text += f" A1 has {_listed([repr(name) for name in extra])} there, which {measured} does not."
    return [text]


def _violation_sentences(comparison: "Comparison") -> list[str]:
    if not comparison.compared:
        return []
    if not comparison.violations:
        return [f"Fewer bits, weights or spikes never cost more, in {comparison.compared} comparisons of points that differ in "
                "one."]
    rungs: dict[str, int] = {}
    for found in comparison.violations:
        rungs[found.rung] = rungs.get(found.rung, 0) + 1
    listed = _listed([f"{count} under {rung}" for rung, count in rungs.items()])
    worst = max(comparison.violations, key=lambda found: found.factor_mid)
    grown = [f"{cause.kind} of {cause.layer or 'the design'}" for cause in worst.causes[:2]]
    causes = _listed(grown) if grown else "nothing"
    work = "" if worst.work is None else f", with {worst.work:.2f} times the synaptic operations"
    return [f"In {len(comparison.violations)} of {comparison.compared} comparisons less costs more ({listed}): the largest is "
            f"'{worst.less}' with {plain_number(worst.factor_mid)} times the energy of '{worst.more}' under {worst.rung}{work}; "
            f"what grew most is {causes}."]


def _assumed_sentences(comparison: "Comparison") -> list[str]:
    found: dict[tuple[str, ...], set[str]] = {}
    for point in comparison.points:
        for rung, energy in point.energies.items():
            if energy.largest_is_assumed and not rung.startswith("R1"):
                found.setdefault(energy.drivers[0].parameters, set()).add(rung)
    if not found:
        return ["No energy here has its largest part from a constant that is assumed."]
    order = comparison.rungs
    parts = [f"{' x '.join(names)} (under {_listed(sorted(rungs, key=lambda rung: order.index(rung) if rung in order else 99))})"
             for names, rungs in found.items()]
    return [f"Assumed, without a measurement, is the constant behind the largest part: {_listed(parts)}. Joules that rest on it "
            "are as good as that; ratios are better, because it is common to both sides."]
