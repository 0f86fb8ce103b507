"""The architecture model: counts by hand, sums that add up, costs that never fall where they must rise, published orderings."""

import math
import re
from dataclasses import replace
from functools import lru_cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from snnhw.cost.architecture import FOLDER, Architecture
from snnhw.cost.hierarchy import LayerMapping, LayerWorkload, architecture_names, evaluate, load_architecture, ratio_band
from snnhw.cost.published import published
from snnhw.errors import FileError, NetworkError, UsageError

EYERISS, ON_CHIP = load_architecture("eyeriss45"), load_architecture("onchip45")
FORMATS = "dense", "rle4", "cp", "bitmask", "ubm", "uop", "csr", "uop-rle4"
CONV = LayerWorkload("conv", "conv", c=8, m=16, p=6, q=10, r=3, s=3, timesteps=4, weight_bits=4, weight_density=0.5,
                     input_density=0.25, input_density_worst=0.5, output_density=0.1, output_density_worst=0.2,
                     inputs=8 * 8 * 12, neurons=16 * 60, state_bits=10)
LINEAR = LayerWorkload("fc", "linear", c=64, m=32, p=1, q=1, r=1, s=1, timesteps=4, weight_bits=4, weight_density=0.5,
                       input_density=0.25, input_density_worst=0.5, output_density=0.1, output_density_worst=0.2,
                       inputs=64, neurons=32, state_bits=10)
PLAIN = EYERISS.changed(formats={"weights": "dense"})
TILES = {"conv": LayerMapping("weights", 4, 2), "fc": LayerMapping("sums", 8, 16, shared=False)}


def bits(result, level, kind, action, part="payload"):
    """Return the bits of one line of the first layer."""
    return sum(use.bits for use in result.layers[0].uses
               if (use.level, use.kind, use.action, use.part) == (level, kind, action, part))


def one(workload, architecture, mapping):
    return evaluate([workload], architecture, mappings={workload.name: mapping})


def test_weights_stay_and_sums_are_spilled():
    result = one(CONV, PLAIN, LayerMapping("weights", m=4, c=2))  # 4 tiles each way; columns share weights
    weights, operations = 16 * 8 * 9, 16 * 8 * 9 * 60 * 4
    assert bits(result, "dram", "weights", "read") == weights * 4 * 4  # 4 bits, in each of 4 timesteps
    assert bits(result, "weight_spad", "weights", "write") == weights * 4 * 4 * 14
    assert bits(result, "weight_spad", "weights", "read") == operations * 0.25 * 4
    assert bits(result, "global_buffer", "inputs", "read") == 768 * 4 * 4
    assert bits(result, "input_spad", "inputs", "write") == 768 * 4 * 4 * 3
    assert bits(result, "input_spad", "inputs", "read") == operations / 4
    for action in ("read", "write"):
        assert bits(result, "global_buffer", "sums", action) == 16 * 60 * 4 * 3 * 16
        assert bits(result, "sum_spad", "sums", action) == (operations * 0.125 + 16 * 60 * 4 * 3) * 16
    assert bits(result, "global_buffer", "outputs", "write") == 960 * 4
    assert bits(result, "units", "sums", "add", "operation") == operations * 0.125 * 16
    assert bits(result, "units", "states", "add", "operation") == 2 * 960 * 4 * 10
    assert result.layers[0].operations == operations * 0.125
    # 4 x 4 tiles, 60 positions in 14 columns, 72 weights in 12 rows; a zero input takes no cycle, a zero weight is seen too late.
    assert result.layers[0].cycles_of["units"] == 4 * 16 * 5 * 6 * 0.25
    assert result.layers[0].cycles_of["dram"] == weights * 16 / 64


def test_sums_stay_and_weights_are_brought_again():
    result = one(CONV, PLAIN, LayerMapping("sums", m=4, c=2, x=2))  # groups of 28 positions: 3 of them
    assert bits(result, "dram", "weights", "read") == 16 * 8 * 9 * 4 * 4 * 3
    assert bits(result, "global_buffer", "sums", "read") == 0
    # A group is 6 rows and 2 columns of the output, under which lie 8 rows and 4 columns of the input.
    assert bits(result, "global_buffer", "inputs", "read") == pytest.approx(768 * 4 * 4 * (8 * 4) / (6 * 2))
    whole = one(CONV, PLAIN, LayerMapping("sums", m=4, c=8, x=2))  # all channels at once: weights and inputs come once
    assert bits(whole, "dram", "weights", "read") == 16 * 8 * 9 * 4 * 4
    assert bits(whole, "global_buffer", "inputs", "read") == 768 * 4 * 4


@pytest.mark.parametrize(("store", "right", "wrong", "layer"), [
    ({}, LayerMapping("sums", 16, 8, 18), LayerMapping("sums", 16, 8, 19), CONV),  # sums: 12 rows of 24 words
    ({"weight_spad": {"depth": 1}}, LayerMapping("weights", 5, 1), LayerMapping("weights", 6, 1), CONV),  # 12 words of 16 bits
    ({"input_spad": {"depth": 1}}, LayerMapping("weights", 1, 5), LayerMapping("weights", 1, 6), replace(CONV, input_bits=2)),
    ({"global_buffer": {"depth": 64}}, LayerMapping("weights", 4, 4), LayerMapping("weights", 5, 4), CONV),  # 4096 bits of sums
    ({"global_buffer": {"depth": 64}}, LayerMapping("weights", 5, 8), LayerMapping("weights", 5, 7), CONV),  # spilled or not
])
def test_what_fits_is_what_the_memories_hold(store, right, wrong, layer):
    stores = {name: PLAIN.stores[name].model_dump() | change for name, change in store.items()}
    architecture = PLAIN.changed(stores=stores)
    assert one(layer, architecture, right).energy_pj > 0
    with pytest.raises(NetworkError, match=r"^layer 'conv' \(conv, 8 → 16\): its mapping must fit "):
        one(layer, architecture, wrong)


def test_timesteps_share_weights():
    batched = PLAIN.changed(mapping={"time_batch": 4})
    once, each = (one(CONV, batched, LayerMapping("weights", m=4, c=2, t=t)) for t in (4, 1))
    assert bits(once, "dram", "weights", "read") * 4 == bits(each, "dram", "weights", "read")
    assert bits(once, "weight_spad", "weights", "read") == bits(each, "weight_spad", "weights", "read")


def test_metadata_is_apart():
    def run_length(name):
        return one(CONV, EYERISS.changed(formats={"weights": name}), LayerMapping("weights", m=4, c=2))
    positions = 16 * 8 * 9 * 4
    words = {"rle4": 0.5 * 4, "rle2": 0.5 * 2, "cp": 0.5 * 4, "bitmask": 1, "ubm": 1, "uop": 17 * 5 / 16}
    for name, metadata in words.items():
        result = run_length(name)
        payload = 4 if name == "ubm" else 2
        assert bits(result, "dram", "weights", "read", "payload") == pytest.approx(positions * payload)
        assert bits(result, "dram", "weights", "read", "metadata") == pytest.approx(positions * metadata)
        # A mask tells in time that a weight is zero, even where the zero is stored.
        assert bits(result, "weight_spad", "weights", "read") == pytest.approx(CONV.dense_operations * 0.25 * 2)


def test_states_are_charged_where_they_live():
    assert not any(use.kind == "states" and use.level != "units" for use in one(CONV, PLAIN, TILES["conv"]).layers[0].uses)
    result = one(CONV, ON_CHIP, TILES["conv"])
    for action in ("read", "write"):
        assert bits(result, "global_buffer", "states", action) == 960 * 4 * 10


def test_graded_inputs_are_multiplied():
    graded = one(replace(CONV, input_bits=8), PLAIN, LayerMapping("weights", m=4, c=2))
    assert bits(graded, "units", "sums", "multiply", "operation") == CONV.dense_operations * 0.125 * 8 * 4
    assert bits(graded, "global_buffer", "inputs", "read") == 768 * 4 * 4 * 8


def test_an_element_in_a_word_of_its_own_is_an_access():
    for sum_bits, accesses in ((16, 1), (8, 1), (17, 2), (33, 3)):
        result = one(CONV, PLAIN.changed(array={"sum_bits": sum_bits}), TILES["conv"])
        reads = [use for use in result.layers[0].uses if (use.level, use.action) == ("sum_spad", "read")]
        assert sum(use.accesses for use in reads) == accesses * (CONV.dense_operations * 0.125 + 16 * 60 * 4 * 3)


@pytest.mark.parametrize("name", architecture_names())
@pytest.mark.parametrize("activity", ["mean", "worst"])
def test_levels_kinds_and_layers_add_up(name, activity):
    architecture = load_architecture(name)
    result = evaluate([CONV, LINEAR], architecture, activity=activity)
    for names in (("layer",), ("level",), ("kind", "part"), ("layer", "level", "kind", "part", "action"), ()):
        assert sum(result.energy_by(*names).values()) == pytest.approx(result.energy_pj)
    for layer in result.layers:
        assert layer.cycles == max(layer.cycles_of.values())
        for use in layer.uses:
            assert use.pj == pytest.approx(use.accesses * math.prod(architecture[item].mid for item in use.energy))
    assert result.cycles == sum(layer.cycles for layer in result.layers)
    assert result.edp == result.energy_pj * result.cycles
    plain = result.as_dict()
    assert sum(plain["levels"].values()) == pytest.approx(plain["energy_pj"])
    assert sum(use["pj"] for layer in plain["layers"] for use in layer["uses"]) == pytest.approx(plain["energy_pj"])
    assert result.share(*plain["levels"]) == pytest.approx(1)


@given(width=st.integers(2, 16), density=st.floats(0.01, 1), name=st.sampled_from(FORMATS), layer=st.sampled_from([CONV, LINEAR]))
def test_fewer_bits_never_cost_more_in_one_mapping(width, density, name, layer):
    architecture = EYERISS.changed(formats={"weights": name})
    wide, narrow = (one(replace(layer, weight_bits=width - less, weight_density=density), architecture, TILES[layer.name])
                    for less in (0, 1))
    assert narrow.energy_pj < wide.energy_pj
    assert narrow.cycles <= wide.cycles


@given(low=st.floats(0, 1), high=st.floats(0, 1), name=st.sampled_from(FORMATS), layer=st.sampled_from([CONV, LINEAR]),
       which=st.sampled_from(["weight_density", "input_density"]), zeros=st.sampled_from(["skip", "gate", "none"]))
def test_fewer_ones_never_cost_more_in_one_mapping(low, high, name, layer, which, zeros):
    low, high = sorted((low, high))
    architecture = EYERISS.changed(formats={"weights": name}, zeros={"weights": zeros, "inputs": zeros})
    sparse, full = (one(replace(layer, **{which: density}), architecture, TILES[layer.name]) for density in (low, high))
    for level, kind, action in {(use.level, use.kind, use.action) for use in sparse.layers[0].uses}:
        assert bits(sparse, level, kind, action) <= bits(full, level, kind, action) * (1 + 1e-12)
    assert sparse.energy_pj <= full.energy_pj * (1 + 1e-12)
    assert sparse.cycles <= full.cycles * (1 + 1e-12)


@settings(max_examples=60)
@given(order=st.sampled_from(["weights", "sums"]), m=st.integers(0, 5), c=st.integers(0, 6), x=st.integers(0, 5),
       t=st.integers(0, 2), shared=st.booleans(), layer=st.sampled_from([CONV, LINEAR]),
       objective=st.sampled_from(["edp", "energy", "cycles"]))
def test_no_mapping_is_better_than_that_of_the_search(order, m, c, x, t, shared, layer, objective):
    architecture = EYERISS.changed(mapping={"time_batch": 4, "objective": objective, "columns": "free"})
    mapping = LayerMapping(order, min(1 << m, layer.m), min(1 << c, layer.c), 1 if order == "weights" else 1 << x, 1 << t, shared)
    best = found(layer, architecture)
    try:
        other = one(layer, architecture, mapping)
    except NetworkError:
        return
    assert getattr(best, {"energy": "energy_pj"}.get(objective, objective)) <= (1 + 1e-12) * getattr(
        other, {"energy": "energy_pj"}.get(objective, objective))


@lru_cache
def _found(layer, text):
    return evaluate([layer], Architecture.model_validate_json(text))


def found(layer, architecture):
    return _found(layer, architecture.model_dump_json())


def test_the_search_ends_where_it_ended_before():
    first, second = (evaluate(published().workloads(2), EYERISS) for _ in range(2))
    assert first.as_dict() == second.as_dict()


def test_columns_share_weights_where_there_are_positions():
    layers = evaluate(published().workloads(2), EYERISS).layers
    assert all(layer.mapping.shared for layer in layers if layer.workload.positions > 1)
    assert not next(layer for layer in layers if layer.workload.name == "FC1").mapping.shared
    free = evaluate(published().workloads(2), EYERISS.changed(mapping={"columns": "free"}))
    assert not all(layer.mapping.shared for layer in free.layers if layer.workload.positions > 1)
    assert free.edp < sum(layer.energy_pj for layer in layers) * sum(layer.cycles for layer in layers)


@pytest.mark.parametrize("which", ["inputs", "weights"])
def test_gating_saves_energy_and_skipping_cycles_too(which):
    results = {zeros: one(CONV, EYERISS.changed(zeros={which: zeros}), TILES["conv"]) for zeros in ("skip", "gate", "none")}
    assert results["skip"].energy_pj == results["gate"].energy_pj < results["none"].energy_pj
    units = {zeros: result.layers[0].cycles_of["units"] for zeros, result in results.items()}
    assert units["skip"] < units["gate"] == units["none"]


def test_links_are_optional():
    without = Architecture.model_validate(EYERISS.model_dump() | {"links": {}})
    linked, bare = one(CONV, EYERISS, TILES["conv"]), one(CONV, without, TILES["conv"])
    links = sum(pj for (level,), pj in linked.energy_by("level").items() if level.endswith("_link"))
    assert links > 0
    assert bare.energy_pj == pytest.approx(linked.energy_pj - links)
    every = {"dram": {"energy": ["wire"]}, "array": {"energy": ["wire"]}, "unit": {"energy": ["wire"], "width": 1}}
    more = one(CONV, EYERISS.changed(links=every), TILES["conv"])
    assert more.energy_by("level")[("unit_link",)] > 0


def test_nothing_goes_to_dram_where_there_is_none():
    result = evaluate([CONV, LINEAR], ON_CHIP)
    assert result.share("dram", "dram_link") == 0
    assert "dram" not in result.layers[0].cycles_of
    assert result.overflows == ()


def test_what_does_not_fit_is_said():
    small = ON_CHIP.changed(stores={"global_buffer": ON_CHIP.stores["global_buffer"].model_dump() | {"depth": 64}})
    (overflow,) = evaluate([LINEAR], small).overflows
    assert overflow == {"level": "global_buffer", "needs_bits": 64 * 32 * 4 + 32 * 10 + 64 + 32, "has_bits": 4096}


def test_worst_activity_costs_more():
    mean, worst = (evaluate([CONV, LINEAR], EYERISS, activity=activity) for activity in ("mean", "worst"))
    assert mean.energy_pj < worst.energy_pj
    assert mean.cycles <= worst.cycles


def test_bands_hold_the_middle_and_shrink_in_ratios():
    ternary, pruned = (evaluate(published().workloads(*point), EYERISS) for point in ((2,), (8, 0.8)))
    band, ratio = ternary.band(), ratio_band(pruned, ternary)
    assert band.low < ternary.energy_pj < band.high
    assert ratio.low < pruned.energy_pj / ternary.energy_pj < ratio.high
    assert ratio.high / ratio.low < band.high / band.low / 1.2
    assert ratio_band(ternary, ternary).high == 1


def test_a_layer_that_fits_nowhere_is_named():
    tiny = EYERISS.changed(stores={"weight_spad": EYERISS.stores["weight_spad"].model_dump() | {"depth": 1, "width": 1}})
    with pytest.raises(NetworkError) as raised:
        evaluate([replace(CONV, weight_bits=8, weight_density=1.0), LINEAR], tiny)
    assert raised.value.problems == ("layer 'conv' (conv, 8 → 16): one channel of its kernel must fit the scratchpads and the "
                                     "buffer of eyeriss45, and does not",)
    with pytest.raises(NetworkError, match=r"^layer 'fc' \(linear, 64 → 32\): its mapping must fit the scratchpads and the "
                                           r"buffer of eyeriss45, and does not$"):
        one(LINEAR, EYERISS, LayerMapping("weights", 64, 1))


@pytest.mark.parametrize(("make", "message"), [
    (lambda: LayerMapping("rows", 1, 1), "Order must be 'weights' or 'sums', not 'rows'"),
    (lambda: LayerMapping("sums", 0, 1), "Mapping m must be an integer of at least 1, not 0"),
    (lambda: LayerMapping("weights", 1, 1, 2), "Mapping x must be 1 in the order 'weights', not 2"),
])
def test_wrong_mappings_are_refused(make, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        make()


# --- what was published ---


@lru_cache
def energy(encoding, bits, pruned=0.0, density=0.1, name="eyeriss45"):
    """Return our energy of a published point, in mJ."""
    dense = encoding == "dense"
    architecture = load_architecture(name).changed(formats={"weights": {"rle": "rle4"}.get(encoding, encoding)})
    return evaluate(published().workloads(bits, pruned, input_density=density, zeros=not dense), architecture).energy_pj / 1e9


def test_published_network_is_that_of_the_paper():
    layers = published().workloads(8)
    assert sum(layer.weights for layer in layers if "TCJA" not in layer.name) == 1_831_296 - 2 * (1_600 + 65_536)
    assert sum(layer.weights * (1 - layer.weight_density) for layer in published().workloads(2)) / sum(
        layer.weights for layer in published().workloads(2)) == pytest.approx(0.679, abs=0.002)
    assert published().energy_mj("rle", 8, 0.8) / published().energy_mj("rle", 2) == pytest.approx(1.457, abs=0.001)


@pytest.mark.parametrize(("name", "density"), [("eyeriss45", 0.02), ("eyeriss45", 0.1), ("eyeriss45", 0.3),
                                               ("eyeriss-ratios", 0.02), ("eyeriss-ratios", 0.1)])
def test_pruning_costs_more_than_ternary_weights(name, density):
    """Claim A3: 8 bits pruned by 80 % need more energy than ternary weights, run-length."""
    assert energy("rle", 8, 0.8, density, name) > energy("rle", 2, 0.0, density, name)


def test_pruning_costs_less_where_operations_cost_more_than_weights():
    """The other side of claim A3: pruned weights leave fewer additions than ternary ones, and bits do not matter to sums."""
    assert energy("rle", 8, 0.8, 0.3, "eyeriss-ratios") < energy("rle", 2, 0.0, 0.3, "eyeriss-ratios")


@pytest.mark.parametrize("density", [0.02, 0.1, 0.3])
def test_compressing_pays_at_few_bits_only(density):
    """Claim A5: unpruned ternary weights are worth compressing, 8-bit ones are not."""
    assert energy("rle", 2, density=density) < energy("dense", 2, density=density)
    assert energy("rle", 4, density=density) > energy("dense", 4, density=density)
    assert energy("rle", 8, density=density) > energy("dense", 8, density=density)


@pytest.mark.parametrize(("bits", "pruned"), [(2, 0.0), (8, 0.8)])
def test_run_lengths_and_coordinates_are_cheapest_for_sparse_weights(bits, pruned):
    """Claim A6: RLE and CP need less energy than UOP and UBM."""
    assert max(energy(name, bits, pruned) for name in ("rle", "cp")) < min(energy(name, bits, pruned) for name in ("uop", "ubm"))


def test_energy_rises_with_bits_and_falls_with_pruning():
    assert [energy("rle", bits) for bits in (2, 3, 4, 6, 8)] == sorted(energy("rle", bits) for bits in (2, 3, 4, 6, 8))
    assert all(energy("rle", bits, 0.8) < energy("rle", bits) for bits in (3, 4, 6, 8))


def test_dram_is_the_largest_level_at_low_activity():
    """Claim A7 holds in direction where spikes are rare; where they are not, scratchpads overtake it."""
    shares = [evaluate(published().workloads(8, input_density=density), EYERISS).share("dram") for density in (0.02, 0.3)]
    assert shares[0] > 0.5 > shares[1]


@pytest.mark.parametrize("arguments", [(5, 0.0), (8, 0.9), (2, 0.8)])
def test_unknown_points_are_refused(arguments):
    with pytest.raises(ValueError, match=r"^Point must be 2, 3, 4, 6 or 8 bits, or 3 to 8 bits pruned by 0\.8, not \d bits"):
        published().workloads(*arguments)


# --- files ---


@pytest.mark.parametrize("name", architecture_names())
def test_shipped_architectures_have_their_evidence(name):
    architecture = load_architecture(name)
    assert architecture.name == name
    named = {item for _, energy, _ in architecture._energies() for item in energy}
    assert named == set(architecture.parameters)
    for constant in architecture.parameters.values():
        assert len(constant.source) > 20
        assert constant.low < constant.high


@pytest.mark.parametrize(("old", "new", "message"), [
    ("rows = 12", "rows = 0", r"array\.rows: input should be greater than or equal to 1"),
    ("rows = 12", "lines = 12", r"array\.rows: field required"),
    ('read = ["dram"]', 'read = ["dram", "add"]', r"its tables: stores\.dram\.read must be in pJ/access, not pJ/access x pJ/bit"),
    ('read = ["dram"]', 'read = ["ddr"]', r"its tables: stores\.dram\.read must name parameters, not 'ddr'"),
    ('read = ["dram"]', "read = []", r"its tables: stores\.dram\.read must name parameters, not none"),
    ("[stores.dram]", "[stores.ddr]", r"its tables: stores must be of dram, global_buffer, input_spad, weight_spad, sum_spad, "
                                      r"not 'ddr'"),
    ("[stores.sum_spad]\nwidth = 16\ndepth = 24", "[stores.sum_spad]\nwidth = 16",
     r"its tables: stores\.sum_spad must have a depth"),
    ('weights = "rle4"', 'weights = "zip"', r"formats: encoding must be one of dense, cp, .* not 'zip'"),
    ('add = { energy = ["add"] }', "", r"its tables: table operations\.add is missing"),
    ("low = 256.0", "low = 600.0", r"parameters\.dram: low, mid and high must be in this order, not 600, 512, 1300"),
    ("rows = 12", "rows = [", "must be TOML, and is not"),
])
def test_wrong_files_are_refused(tmp_path, old, new, message):
    text = (FOLDER / "eyeriss45.toml").read_text()
    assert text.count(old) == 1
    path = tmp_path / "mine.toml"
    path.write_text(text.replace(old, new))
    with pytest.raises(FileError, match=rf"^architecture file '.*mine\.toml':? {message}$"):
        load_architecture(path)


def test_a_file_of_the_user_is_read(tmp_path):
    (tmp_path / "mine.toml").write_text((FOLDER / "eyeriss45.toml").read_text().replace('name = "eyeriss45"', 'name = "mine"'))
    assert load_architecture(tmp_path / "mine.toml").name == "mine"


def test_homes_must_be_there():
    content = EYERISS.model_dump()
    del content["stores"]["dram"]
    with pytest.raises(ValueError, match=r"table stores\.dram is missing, and is the home of weights"):
        Architecture.model_validate(content)


@pytest.mark.parametrize(("make", "message"), [
    (lambda: load_architecture("eyeriss"), "architecture must be one of eyeriss-ratios, eyeriss45, onchip45 or a .toml file, "
                                           "not 'eyeriss'"),
    (lambda: EYERISS.changed(format={"weights": "cp"}), "architecture 'eyeriss45' has no table 'format'"),
    (lambda: EYERISS.changed(array={"rows": 0}),
     "architecture 'eyeriss45': array.rows: input should be greater than or equal to 1"),
    (lambda: evaluate([CONV], EYERISS, activity="min"), "activity must be mean or worst, not 'min'"),
])
def test_wrong_usage_is_refused(make, message):
    with pytest.raises(UsageError, match=f"^{re.escape(message)}$"):
        make()
