# Everything here sets itself up: it needs Python 3.11 or newer, a C++ compiler, make and git.
#
#   make demo    one network from its checkpoint to verified Verilog, a bitstream and its energy
#   make test    lint, types and all tests
#
# PYTHON names the interpreter to build the environment with, VENV the folder of the environment.

VENV ?= .venv
PYTHON ?= $(shell for name in python3 python3.13 python3.12 python3.11; do \
	$$name -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$name && break; done)
bin := $(VENV)/bin
ready := $(VENV)/.ready
jobs ?= 2
minutes ?= 10
seed ?= 0

.PHONY: demo test lint types unit install icarus fuzz prove mutants slow bench mnist netlists published compressed counts largest claims energy-grid retrain clean

demo: install icarus
	$(bin)/python scripts/demo.py

test: lint types unit

lint: install
	$(bin)/ruff check .

types: install
	$(bin)/mypy

unit: install icarus
	OMP_NUM_THREADS=1 $(bin)/pytest -n $(jobs) --dist worksteal

install: $(ready)

# Runs again when a dependency or a pin changes.
$(ready): pyproject.toml constraints.txt
	@test -n "$(PYTHON)" || { echo "error: Python must be 3.11 or newer, and no such interpreter was found; set PYTHON=..." >&2; exit 3; }
	@command -v c++ >/dev/null || command -v g++ >/dev/null || { echo "error: a C++ compiler is not installed" >&2; exit 3; }
	sh scripts/make_environment.sh "$(PYTHON)" "$(VENV)"
	$(bin)/python -m pip install --quiet -c constraints.txt -e '.[all,dev]'
	@touch $@

icarus:
	@sh scripts/install_icarus.sh

# Longer proofs, outside `make test`.

# Random networks through reference and RTL; goes on where the log of an earlier run ends.
fuzz: install
	mkdir -p build
	OMP_NUM_THREADS=1 $(bin)/python benchmarks/fuzz.py --minutes $(minutes) --seed $(seed) --log build/fuzz.jsonl

# Formal proofs of the larger blocks.
prove: install
	$(bin)/pytest -n $(jobs) -m slow tests/formal

# Small bugs in the blocks that route events and walk lists, each of which must be found.
mutants: install
	OMP_NUM_THREADS=1 $(bin)/python benchmarks/mutants.py

# Every test that `make test` leaves out.
slow: install icarus
	OMP_NUM_THREADS=1 $(bin)/pytest -n $(jobs) -m slow

# All 10,000 test images through the RTL, and place and route for an ECP5-25; needs the data set, see models/mnist.
mnist: install
	$(bin)/python scripts/demo.py --model models/mnist --board orangecrab-25f --samples 4 --out build/mnist

# Mapped netlists of the models and of random networks against the reference, with and without delays; needs SNNHW_DATA.
netlists: install
	OMP_NUM_THREADS=1 $(bin)/python benchmarks/netlists.py --record

# Networks that others trained, from their files to the hardware; needs SNNHW_DATA.
published: install
	$(bin)/python benchmarks/published.py --record

# Compressed models: accuracy on whole test sets, and their hardware; needs SNNHW_DATA. Goes on where it was stopped.
compressed: install
	OMP_NUM_THREADS=1 $(bin)/python benchmarks/compressed.py --record

# Predicted counts against those of the RTL, on random networks and on the models; some need SNNHW_DATA.
counts: install
	OMP_NUM_THREADS=1 $(bin)/python benchmarks/counts.py --record

# The largest network that fits each board, found and built; goes on where it was stopped, or leaves out what is recorded.
largest: install
	OMP_NUM_THREADS=1 $(bin)/python benchmarks/largest.py --record

# The claims of the papers, measured again on the data that is there; goes on where it was stopped.
claims: install
	OMP_NUM_THREADS=1 $(bin)/snnhw claims --out build/claims --write docs/claims.md

# Quantization against pruning on generated hardware, on every rung; needs SNNHW_DATA, and hours. Goes on where it was stopped.
energy-grid: install
	OMP_NUM_THREADS=1 $(bin)/python benchmarks/energy_grid.py

# Start of the program; logic cells and clock of one core on iCE40UP5K; size of the Verilog; speed of the reference (needs SNNHW_DATA).
bench: install
	$(bin)/python benchmarks/startup.py
	$(bin)/python benchmarks/core_up5k.py
	$(bin)/python benchmarks/verilog_size.py
	$(bin)/python benchmarks/reference_speed.py

# Trains the example networks again, into build/: the embedded default from its recipe, the others with their own scripts,
# which need the data sets; see models/*/README.md.
retrain: install
	$(bin)/snnhw train models/digits --out build/digits
	$(bin)/python models/braille/train.py --out build/braille.safetensors
	$(bin)/python models/fashion/train.py --out build/fashion.safetensors

clean:
	rm -rf build dist *.egg-info .pytest_cache .ruff_cache .mypy_cache .hypothesis
