"""Every refusal of a neuron's constants, and the small contracts of the specification."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from network_strategies import specs

from snnhw.ir import Decay, NeuronSpec
from snnhw.ir.neuron import as_integers

DROP = "Neuron input_on_reset must be keep unless a reset to zero or to a value happens at the next timestep, not drop"
SPECS = [
    (ValueError, {"reset": "hard"}, "Neuron reset must be none, zero, value or subtract, not 'hard'"),
    (ValueError, {"reset": None}, "Neuron reset must be none, zero, value or subtract, not None"),
    (ValueError, {"reset": np.array(["none", "zero"])},
     "Neuron reset must be none, zero, value or subtract, not array(['none', 'zero']"),
    (ValueError, {"reset_time": "later"}, "Neuron reset_time must be immediate or next, not 'later'"),
    (ValueError, {"input_on_reset": "lose"}, "Neuron input_on_reset must be keep or drop, not 'lose'"),
    (ValueError, {"overflow": "wrap"}, "Neuron overflow must be exact or saturate, not 'wrap'"),
    (ValueError, {"clear": "always"}, "Neuron clear must be sample or never, not 'always'"),
    (TypeError, {"bits": 8.0}, "Neuron bits must be an integer, not 8.0"),
    (TypeError, {"bits": True}, "Neuron bits must be an integer, not True"),
    (TypeError, {"frac": "1"}, "Neuron frac must be an integer, not '1'"),
    (TypeError, {"start": False}, "Neuron start must be an integer, not False"),
    (TypeError, {"start": np.int64(0)}, f"Neuron start must be an integer, not {np.int64(0)!r}"),
    (ValueError, {"bits": 1}, "Neuron bits must be between 2 and 32, not 1"),
    (ValueError, {"bits": 33}, "Neuron bits must be between 2 and 32, not 33"),
    (ValueError, {"frac": -1}, "Neuron frac must be between 0 and 30, not -1"),
    (ValueError, {"frac": 31}, "Neuron frac must be between 0 and 30, not 31"),
    (TypeError, {"decay": "one"}, "Neuron decay must be a Decay, not 'one'"),
    (TypeError, {"decay": None}, "Neuron decay must be a Decay, not None"),
    (TypeError, {"synapse": 3}, "Neuron synapse must be a Decay or None, not 3"),
    (TypeError, {"threshold": None}, "Neuron threshold must be integers, not object"),
    (TypeError, {"threshold": True}, "Neuron threshold must be integers, not bool"),
    (TypeError, {"threshold": "5"}, "Neuron threshold must be integers, not <U1"),
    (TypeError, {"bias": 1j}, "Neuron bias must be integers, not complex128"),
    (ValueError, {"threshold": 0.5}, "Neuron threshold must be integers, not 0.5"),
    (ValueError, {"bias": float("nan")}, "Neuron bias must be finite, not nan"),
    (ValueError, {"bias": [1, float("-inf")]}, "Neuron bias must be finite, not -inf"),
    (ValueError, {"bias": 1e300}, f"Neuron bias must fit in 64 bits, not {int(1e300)}"),
    (ValueError, {"bias": -1e300}, f"Neuron bias must fit in 64 bits, not {int(-1e300)}"),
    (ValueError, {"bias": 1 << 63}, f"Neuron bias must fit in 64 bits, not {1 << 63}"),
    (ValueError, {"bias": -1 << 80}, f"Neuron bias must fit in 64 bits, not {-1 << 80}"),
    (ValueError, {"bias": np.array([1 << 63], np.uint64)}, f"Neuron bias must fit in 64 bits, not {1 << 63}"),
    (ValueError, {"bias": [[1, 2], [3]]}, "Neuron bias must form a rectangular array"),
    (ValueError, {"threshold": [[1, 2]]}, "Neuron threshold must be one value or one for each neuron, not shape (1, 2)"),
    (ValueError, {"bias": []}, "Neuron bias must be one value or one for each neuron, not shape (0,)"),
    (ValueError, {"threshold": [1, 2], "bias": [0, 0, 0]},
     "Neuron parameters must agree on the number of neurons, not threshold 2, bias 3"),
    (ValueError, {"bias": [0, 0, 0], "decay": Decay("mul", 1, [1, 1]), "synapse": Decay("mul", 1, [1, 1, 1])},
     "Neuron parameters must agree on the number of neurons, not bias 3, decay factor 2, synapse factor 3"),
    (ValueError, {"threshold": 128}, "Neuron threshold must fit in the 8-bit state (-128..127), not 128"),
    (ValueError, {"threshold": [1, -129]}, "Neuron threshold must fit in the 8-bit state (-128..127), not -129"),
    (ValueError, {"start": 128}, "Neuron start must fit in the 8-bit state (-128..127), not 128"),
    (ValueError, {"start": -1 << 90}, f"Neuron start must fit in the 8-bit state (-128..127), not {-1 << 90}"),
    (ValueError, {"bias": 1 << 31}, f"Neuron bias must fit in 32 bits, not {1 << 31}"),
    (ValueError, {"bias": [0, -(1 << 31) - 1]}, f"Neuron bias must fit in 32 bits, not {-(1 << 31) - 1}"),
    (ValueError, {"reset": "subtract", "reset_amount": 1 << 31}, f"Neuron reset_amount must fit in 32 bits, not {1 << 31}"),
    (ValueError, {"reset": "value", "reset_amount": -129},
     "Neuron reset_amount must fit in the 8-bit state (-128..127), not -129"),
    (ValueError, {"reset": "subtract", "reset_amount": -1}, "Neuron reset_amount of subtract must not be negative, not -1"),
    (ValueError, {"reset": "subtract", "reset_amount": 134},
     "Neuron threshold less reset_amount must fit in the 8-bit state (-128..127), not -129"),
    (ValueError, {"reset": "none", "reset_amount": 3}, "Neuron reset_amount must be 0 for reset 'none', not 3"),
    (ValueError, {"reset_amount": [0, -2]}, "Neuron reset_amount must be 0 for reset 'zero', not -2"),
    (ValueError, {"input_on_reset": "drop"}, DROP),
    (ValueError, {"input_on_reset": "drop", "reset_time": "next", "reset": "subtract"}, DROP),
    (ValueError, {"input_on_reset": "drop", "reset_time": "next", "reset": "none"}, DROP),
    (ValueError, {"output": "spikes"}, "Neuron output must be spike, count or state, not 'spikes'"),
    (TypeError, {"grades": 2.0}, "Neuron grades must be an integer, not 2.0"),
    (ValueError, {"output": "count", "grades": 0}, "Neuron grades must be between 1 and 15, not 0"),
    (ValueError, {"output": "count", "grades": 16}, "Neuron grades must be between 1 and 15, not 16"),
    (ValueError, {"grades": 2}, "Neuron grades must be 1 for output 'spike', not 2"),
    (ValueError, {"output": "state", "reset": "none", "threshold": 0, "grades": 2},
     "Neuron grades must be 1 for output 'state', not 2"),
    (ValueError, {"output": "count", "grades": 2}, "Neuron reset must be subtract for output 'count', not zero"),
    (ValueError, {"output": "count", "reset": "subtract", "reset_amount": 1, "reset_time": "next"},
     "Neuron reset_time must be immediate for output 'count', not next"),
    (ValueError, {"output": "count", "reset": "subtract", "reset_amount": [1, 0]},
     "Neuron reset_amount must be positive for output 'count', not 0"),
    (ValueError, {"output": "state", "threshold": 0}, "Neuron reset must be none for output 'state', not zero"),
    (ValueError, {"output": "state", "reset": "none"}, "Neuron threshold must be 0 for output 'state', not 5"),
]
DECAYS = [
    (ValueError, ("leak",), "Decay kind must be one, shift or mul, not 'leak'"),
    (ValueError, (7,), "Decay kind must be one, shift or mul, not 7"),
    (TypeError, ("shift", 1.0), "Decay shift must be an integer, not 1.0"),
    (TypeError, ("shift", True), "Decay shift must be an integer, not True"),
    (ValueError, ("one", 1), "Decay shift of 'one' must be between 0 and 0, not 1"),
    (ValueError, ("shift", 0), "Decay shift of 'shift' must be between 1 and 32, not 0"),
    (ValueError, ("shift", 33), "Decay shift of 'shift' must be between 1 and 32, not 33"),
    (ValueError, ("shift", -1), "Decay shift of 'shift' must be between 1 and 32, not -1"),
    (ValueError, ("mul", 17, 1), "Decay shift of 'mul' must be between 1 and 16, not 17"),
    (ValueError, ("mul", 4), "Decay factor must be given for 'mul' and for nothing else"),
    (ValueError, ("shift", 4, 1), "Decay factor must be given for 'mul' and for nothing else"),
    (ValueError, ("mul", 4, 17), "Decay factor must be between 0 and 16, not 17"),
    (ValueError, ("mul", 4, [0, -1]), "Decay factor must be between 0 and 16, not -1"),
    (ValueError, ("mul", 4, [[1]]), "Decay factor must be one value or one for each neuron, not shape (1, 1)"),
    (ValueError, ("mul", 4, []), "Decay factor must be one value or one for each neuron, not shape (0,)"),
    (ValueError, ("mul", 4, 0.9), "Decay factor must be integers, not 0.9"),
    (TypeError, ("mul", 4, "1"), "Decay factor must be integers, not <U1"),
    (ValueError, ("mul", 4, 3, "up"), "Decay rounding must be floor or zero, not 'up'"),
    (ValueError, ("mul", 4, 3, None), "Decay rounding must be floor or zero, not None"),
    (ValueError, ("shift", 4, None, "zero"), "Decay rounding of 'shift' must be floor, not 'zero'"),
    (ValueError, ("one", 0, None, "zero"), "Decay rounding of 'one' must be floor, not 'zero'"),
]


@pytest.mark.parametrize(("kind", "fields", "message"), SPECS, ids=lambda item: item if isinstance(item, str) else None)
def test_refuses_a_neuron(kind, fields, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}" + ("" if message.endswith("]") else "$")):
        NeuronSpec(**{"threshold": 5, "bits": 8} | fields)


@pytest.mark.parametrize(("kind", "arguments", "message"), DECAYS, ids=lambda item: item if isinstance(item, str) else None)
def test_refuses_a_decay(kind, arguments, message):
    with pytest.raises(kind, match=f"^{re.escape(message)}$"):
        Decay(*arguments)


@pytest.mark.parametrize("fields", [
    {"threshold": 127}, {"threshold": -128}, {"start": -128}, {"bias": (1 << 31) - 1}, {"bias": -(1 << 31)},
    {"reset": "subtract", "reset_amount": 133}, {"reset": "subtract", "reset_amount": (1 << 31) - 1, "reset_time": "next"},
    {"reset": "value", "reset_amount": 127}, {"reset": "value", "reset_amount": [-128, 127]}, {"frac": 30}, {"bits": 32},
    {"reset_time": "next", "input_on_reset": "drop"}, {"decay": Decay("mul", 16, 1 << 16)}, {"decay": Decay("shift", 32)},
    {"output": "count", "reset": "subtract", "reset_amount": 133, "grades": 15},
    {"output": "state", "reset": "none", "threshold": 0},
    {"output": "count", "reset": "subtract", "reset_amount": 1}, {"decay": Decay("mul", 16, 1, "zero")},
])
def test_takes_every_value_at_its_limit(fields):
    spec = NeuronSpec(**{"threshold": 5, "bits": 8} | fields)
    assert all(np.array_equal(getattr(spec, name), value) or getattr(spec, name) == value for name, value in fields.items())


@pytest.mark.parametrize("values", [3, [3, -4], np.int8(-3), np.array([7], np.uint64), 2.0, np.array([1.0, -2.0], np.float16),
                                    (1 << 63) - 1, -(1 << 63)])
def test_integers_become_int64(values):
    array = as_integers(values, "Thing")
    assert array.dtype == np.int64
    assert array.tolist() == np.asarray(values).tolist()
    assert not array.flags.writeable


def test_integers_are_a_copy():
    original = np.array([1, 2])
    array = as_integers(original, "Thing")
    original[0] = 9
    assert array.tolist() == [1, 2]


@given(st.data())
def test_a_spec_equals_its_twin_and_nothing_else(data):
    spec = data.draw(specs(3))
    twin = NeuronSpec(**{name: getattr(spec, name) for name in spec.__dataclass_fields__})
    assert spec == twin
    assert hash(spec) == hash(twin)
    assert spec != NeuronSpec(**{name: getattr(spec, name) for name in spec.__dataclass_fields__} | {
        "clear": "never" if spec.clear == "sample" else "sample"})
    assert spec != "spec"
    assert spec.decay != "decay"


def test_one_value_for_all_differs_from_one_for_each():
    assert NeuronSpec(5) != NeuronSpec([5, 5])
    assert NeuronSpec([5, 6]).per_neuron == ("threshold",)
    spec = NeuronSpec(5, Decay("mul", 3, [1, 2]), "subtract", [1, 2], bias=[0, 1])
    assert spec.per_neuron == ("reset_amount", "bias", "factor")
    assert NeuronSpec(5, synapse=Decay("mul", 3, [1, 2])).per_neuron == ("synapse_factor",)


def test_parameters_are_those_that_the_arithmetic_has():
    spec = NeuronSpec(5, Decay("mul", 3, 6), "subtract", 4, bias=[0, 1], synapse=Decay("mul", 3, 7))
    assert {name: np.asarray(array).tolist() for name, array in spec.parameters.items()} == {
        "threshold": 5, "reset_amount": 4, "bias": [0, 1], "factor": 6, "synapse_factor": 7}
    assert list(NeuronSpec(5).parameters) == ["threshold", "reset_amount", "bias"]


def test_rounding_is_part_of_a_decay():
    assert Decay("mul", 3, 5) != Decay("mul", 3, 5, "zero")
    assert [int(Decay("mul", 2, 3, "zero")(np.array(state))) for state in (-9, -4, -1, 0, 1, 4, 9)] == [-6, -3, 0, 0, 0, 3, 6]
    assert [int(Decay("mul", 2, 3)(np.array(state))) for state in (-9, -4, -1, 0, 1, 4, 9)] == [-7, -3, -1, 0, 0, 3, 6]


def test_check_names_what_does_not_fit_the_population():
    spec = NeuronSpec([5, 6], Decay("mul", 3, [1, 2]), bias=[0, 1], synapse=Decay("mul", 3, [1, 2]))
    assert spec.check(2) == []
    assert spec.check(3) == [f"{name} must be one value or 3 values, not 2"
                             for name in ("threshold", "bias", "decay factor", "synapse factor")]


@pytest.mark.parametrize(("spec", "text"), [
    (NeuronSpec(5), "decay v, fire v >= 5, reset zero immediate, state 16 bits, 0 fractional, saturate"),
    (NeuronSpec([5, 9], Decay("mul", 8, 230), "subtract", [3, 4], "next", "keep", "exact", 12, 2, 7, -1, "never",
                Decay("shift", 3)),
     "decay (v * 230) >> 8, fire v >= [5..9], reset subtract [3..4] next, state 12 bits, 2 fractional, exact, bias 7, start -1, "
     "never cleared, synapse v - (v >> 3)"),
    (NeuronSpec(5, reset="value", reset_amount=-2, reset_time="next", input_on_reset="drop"),
     "decay v, fire v >= 5, reset value -2 next, input on reset dropped, state 16 bits, 0 fractional, saturate"),
    (NeuronSpec(5, Decay("mul", 2, 3, "zero"), "subtract", 2, output="count", grades=3),
     "decay (v * 3) >> 2 toward zero, fire v >= 5 up to 3 times, reset subtract 2 immediate, "
     "state 16 bits, 0 fractional, saturate"),
    (NeuronSpec(0, reset="none", output="state"), "decay v, hands its state on, state 16 bits, 0 fractional, saturate"),
    (NeuronSpec(5, reset="none"), "decay v, fire v >= 5, reset none immediate, state 16 bits, 0 fractional, saturate"),
])
def test_text(spec, text):
    assert str(spec) == text
