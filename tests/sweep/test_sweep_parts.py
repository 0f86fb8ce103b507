"""Study files, spaces, ranks, recipes and proposals."""

import itertools
import tomllib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_studies import STUDY, write_study

from snnhw.cost.pareto import pareto_front
from snnhw.errors import UsageError
from snnhw.files import format_toml
from snnhw.sweep import load_study
from snnhw.sweep.candidate import make_recipe, plan_options, pretrain_key, shrink
from snnhw.sweep.rank import crowding, fronts, order
from snnhw.sweep.sampler import Proposer
from snnhw.sweep.space import Range, draw, flatten_axes, grid, grid_size, settings
from snnhw.sweep.study import Limit, Study

points = st.lists(st.tuples(*[st.integers(0, 5)] * 3), max_size=25)
WAYS = ["max", "min", "min"]


def dominates(one, other):
    costs, others = (-one[0], *one[1:]), (-other[0], *other[1:])
    return all(a <= b for a, b in zip(costs, others, strict=True)) and costs != others


@given(points)
def test_fronts_take_every_point_once(points):
    found = fronts(points, WAYS)
    assert sorted(index for front in found for index in front) == list(range(len(points)))
    for earlier, later in itertools.pairwise(found):
        assert all(any(dominates(points[one], points[index]) for one in earlier) for index in later)


@given(points, st.data())
def test_feasible_points_come_first(points, data):
    violations = data.draw(st.lists(st.sampled_from([0.0, 0.5, 2.0]), min_size=len(points), max_size=len(points)))
    ranked, first = order(points, WAYS, violations)
    assert sorted(ranked) == list(range(len(points)))
    assert [violations[index] for index in ranked] == sorted(violations)
    feasible = [index for index, violation in enumerate(violations) if not violation]
    front = {feasible[index] for index in pareto_front([points[index] for index in feasible], maximise=[0])}
    assert set(ranked[:first]) == front


def test_crowding_prefers_ends_and_room():
    room = crowding([(0, 10), (1, 8), (5, 5), (10, 0)], ["min", "min"])
    assert np.isinf(room[[0, 3]]).all()
    assert room[1:3] == pytest.approx([5 / 10 + 5 / 10, 9 / 10 + 8 / 10])


def test_nested_names_become_dotted():
    table = tomllib.loads('quantize.weight_bits = [2]\nplan = {lanes = [1]}\n"prune.sparsity" = {low = 0, high = 0.5}')
    assert flatten_axes(table) == {"quantize.weight_bits": [2], "plan.lanes": [1], "prune.sparsity": {"low": 0, "high": 0.5}}


def test_range_of_whole_numbers_stays_whole():
    rng = np.random.default_rng(0)
    drawn = {Range(low=2, high=8, step=3).draw(rng) for _ in range(100)}
    assert drawn == {2, 5, 8}
    assert all(isinstance(value, int) for value in drawn)
    assert {type(Range(low=1, high=9, log=True).draw(rng)) for _ in range(20)} == {int}


def test_range_with_a_step_has_both_ends():
    assert Range(low=0.0, high=0.9, step=0.3).numbers() == [0.0, 0.3, 0.6, 0.9]


def test_values_that_are_tables_come_back():
    space = {"quantize.layers": [{}, {"fc1": {"weight_bits": 2}}]}
    found = [settings(space, point) for point in grid(space)]
    assert found == [{"quantize.layers": {}}, {"quantize.layers": {"fc1": {"weight_bits": 2}}}]
    assert settings(space, draw(space, np.random.default_rng(0))) in found


def test_limit_measures_by_how_much():
    assert Limit(min=0.9).violation(0.9) == 0
    assert Limit(min=0.9).violation(0.45) == pytest.approx(0.5)
    assert Limit(min=1, max=10).violation(15) == pytest.approx(0.5)


@pytest.mark.parametrize(("change", "message"), [
    ({"objectives": 'objectives = ["speed"]'}, "objectives.0 is wrong: Input should be 'accuracy', "),
    ({"objectives": 'objectives = ["logic", "logic"]'}, "study is wrong: objectives must be different$"),
    ({"startup": 'startup = 0'}, "sampler.startup is wrong: Input should be greater than or equal to 1$"),
    ({"startup": 'bogus = 1'}, "sampler.bogus is wrong: Extra inputs are not permitted$"),
    ({"prune.sparsity": "prune.sparsity = {low = 0.5, high = 0.1}"},
     r"space.prune.sparsity is wrong: low must be at most high, not 0.5 and 0.1$"),
    ({"prune.sparsity": "prune.sparsity = {low = 0.0, high = 0.5}", "startup": 'kind = "grid"'},
     "study is wrong: space must have lists, or ranges with a step, for sampler 'grid'$"),
    ({"seed": "seed ="}, "must be TOML: "),
    ({"keep": "keep = 0"}, "stages.short.keep is wrong: Input should be greater than or equal to 1$"),
    ({"keep": "keep = 1.5"}, "stages.short.keep is wrong: "),
])
def test_wrong_studies_are_refused_by_field(tmp_path, change, message):
    path = write_study(tmp_path, **change)
    with pytest.raises(UsageError, match=rf"^study '.*study.toml'(:|) {message}"):
        load_study(path)


def test_keep_tells_counts_from_shares(tmp_path):
    stages = load_study(write_study(tmp_path)).stages
    assert (stages.short.keep, stages.full.keep, stages.synthesis.keep) == (0.75, 5, "front")
    one = load_study(write_study(tmp_path, STUDY.replace("keep = 5", "keep = 1"))).stages.full.keep
    every = load_study(write_study(tmp_path, STUDY.replace("keep = 5", "keep = 1.0"))).stages.full.keep
    assert (type(one), type(every)) == (int, float)


def test_study_survives_its_json(tmp_path):
    study = load_study(write_study(tmp_path))
    assert Study.model_validate(study.model_dump(mode="json")) == study


RECIPE = {"data": "digits", "timesteps": 4, "finetune": {"epochs": 10}, "prune": {"when": 4, "until": 8, "sparsity": 0.5}}
FIELDS = ["finetune.epochs", "prune.when", "prune.until"]


def test_recipe_takes_fixed_and_own_values():
    recipe = make_recipe(RECIPE, {"finetune": {"learning_rate": 1e-5}},
                         {"quantize.layers.fc1.weight_bits": 2, "plan.lanes": 4, "timesteps": 8})
    assert recipe == {"data": "digits", "timesteps": 8, "finetune": {"epochs": 10, "learning_rate": 1e-5},
                      "prune": RECIPE["prune"], "quantize": {"layers": {"fc1": {"weight_bits": 2}}}}
    assert RECIPE["timesteps"] == 4
    assert plan_options({"load_weights": True}, {"timesteps": 8, "plan.lanes": 4}) == {"load_weights": True, "lanes": 4}


@pytest.mark.parametrize(("share", "epochs", "prune"), [
    (1.0, 10, {"when": 4, "until": 8, "sparsity": 0.5}),
    (0.5, 5, {"when": 2, "until": 4, "sparsity": 0.5}),
    (0.1, 1, {"when": 0, "sparsity": 0.5}),
    (0.0, 0, {"sparsity": 0.5}),
])
def test_epochs_shrink_together(share, epochs, prune):
    found = shrink(RECIPE, FIELDS, share)
    assert (found["finetune"]["epochs"], found["prune"]) == (epochs, prune)
    assert RECIPE["prune"]["until"] == 8


def test_float_network_is_shared_by_what_comes_after_it():
    def key(values):
        return pretrain_key(make_recipe(RECIPE, {}, values), ["prune", "quantize", "finetune"], FIELDS[0], "hash")
    assert key({"prune.sparsity": 0.9, "quantize.weight_bits": 2, "finetune.epochs": 3}) == key({})
    assert key({"timesteps": 5}) != key({})


keys = st.text(min_size=1, max_size=6)
leaves = st.booleans() | st.integers(-2 ** 60, 2 ** 60) | st.floats(allow_nan=False, allow_infinity=False) | st.text(
    st.characters(exclude_categories=["Cs"]), max_size=8)
tables = st.dictionaries(keys, st.recursive(leaves, lambda inner: st.lists(inner, max_size=3)
                                            | st.dictionaries(keys, inner, max_size=3), max_leaves=8), max_size=5)


@given(tables)
def test_recipes_read_back_as_written(table):
    assert tomllib.loads(format_toml(table)) == table


def propose(study, journal, count):
    proposer = Proposer(study, journal)
    return [proposer.point(number) for number in range(count)]


def test_proposals_are_those_of_a_sweep_that_was_not_killed(tmp_path):
    """The journal is opened anew before every proposal, once with half a line at its end."""
    study = load_study(write_study(tmp_path))

    def values(point):
        return [1 - 0.3 / point["quantize.weight_bits"] - point["prune.sparsity"] / 3, float(point["plan.lanes"])]

    whole = Proposer(study, tmp_path / "whole.log")
    for number in range(12):
        whole.tell(number, values(whole.point(number)))
    expected = [whole.point(number) for number in range(12)]
    for number in range(12):
        part = Proposer(study, tmp_path / "part.log")
        assert part.point(number) == expected[number]
        assert not part.told(number)
        with open(tmp_path / "part.log", "ab") as file:
            file.write(b'{"op_code": 5, "study_')
        part = Proposer(study, tmp_path / "part.log")
        assert part.point(number) == expected[number]
        part.tell(number, values(expected[number]), 0.0)
    assert Proposer(study, tmp_path / "part.log").told(11)


@pytest.mark.parametrize("cut", range(1, 8))
def test_proposal_cut_short_is_completed_the_same(tmp_path, cut):
    """Whatever lines of the last proposal reached the journal, the same parameters come again."""
    study = load_study(write_study(tmp_path))
    journal = tmp_path / "journal.log"
    proposer = Proposer(study, journal)
    for number in range(6):
        assert proposer.point(number)
        proposer.tell(number, [0.1 * number, float(number)])
    before = len(journal.read_bytes().splitlines())
    expected = proposer.point(6)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:min(before + cut, len(lines))]))
    again = Proposer(study, journal)
    assert again.point(6) == expected
    assert len(again) == 7


def test_grid_is_gone_through_once(tmp_path):
    text = STUDY.replace("startup = 4", 'kind = "grid"').replace("step = 0.1", "step = 0.45")
    study = load_study(write_study(tmp_path, text))
    assert grid_size(study.space) == 60
    found = propose(study, tmp_path / "journal.log", 61)
    assert found[60] is None
    assert found[:60] == list(grid(study.space))


@pytest.mark.parametrize("kind", ["tpe", "nsga2"])
def test_proposals_lie_on_the_steps(tmp_path, kind):
    study = load_study(write_study(tmp_path, STUDY.replace("startup = 4", f'kind = "{kind}"\nstartup = 4\npopulation = 4')))
    proposer, steps = Proposer(study, tmp_path / "journal.log"), study.space["prune.sparsity"].numbers()
    for number in range(30):
        point = proposer.point(number)
        assert point["prune.sparsity"] in steps
        proposer.tell(number, [point["prune.sparsity"], float(point["plan.lanes"])])
