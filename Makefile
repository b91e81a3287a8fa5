# Two commands do everything: `make demo` and `make test`.
PYTHON ?= python3.11
JOBS ?= auto
BIN := .venv/bin
# Where an environment says not to keep compiled modules, each of the hundreds of commands that tests run compiles anew.
unexport PYTHONDONTWRITEBYTECODE
PIP := $(BIN)/pip install --quiet -c constraints.txt

.PHONY: demo test pytest formal test-slow test-install test-transformer-lens lint build schema docs docs-outputs measured bench bench-public bench-family bench-frontier bench-float32 bench-scaling study study-small study-page study-kinds check-cert.pyz mutants mutants-of-certificates fuzz clean

# The version is in what is installed, so that a new one means a new installation.
.venv/base: pyproject.toml constraints.txt checker/version.py
	$(PYTHON) -m venv .venv
	$(PIP) --editable .
	touch $@

.venv/test: .venv/base
	$(PIP) --editable '.[train,test]'
	touch $@

.venv/docs: .venv/base
	$(PIP) --editable '.[docs]'
	touch $@

.venv-tl/ready: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv-tl
	.venv-tl/bin/pip install --quiet -c constraints.txt --editable '.[train]' hypothesis pytest transformer-lens==4.3.0
	touch $@

demo: .venv/base
	$(BIN)/certgen demo

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# mypy uses one core, and the tests have the others to begin with.
test: .venv/test
	$(MAKE) --jobs=2 lint pytest

pytest: .venv/test
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal

# Ten to a hundred times as many random models: hours. PART is a folder of it, or a file; CONTRIBUTING.md lists parts that
# should take less than an hour each, on two cores.
PART ?= tests
test-slow: .venv/test
	$(BIN)/python -m pytest -n $(JOBS) --dist worksteal -m slow $(PART)

# The machine-checked proof: compiled, checked again by coqchk, axioms compared; the extracted checker, built and tested.
# Installs Coq where apt-get can. Nothing else needs it.
formal: .venv/test
	$(MAKE) -C formal install
	$(MAKE) -C formal PYTHON=$(CURDIR)/$(BIN)/python

# The wheel and the sdist in environments that have nothing else: needs PyPI.
test-install: .venv/test
	$(BIN)/python -m pytest -m slow tests/test_distribution.py

# The import against the real TransformerLens, in an environment of its own.
test-transformer-lens: .venv-tl/ready
	.venv-tl/bin/python -m pytest tests/certgen/models/test_transformer_lens.py

# Times of proving and checking, beside the targets.
bench: .venv/base
	$(BIN)/python bench/run.py

# Times of checking public models; the folder with their checkpoints is CHECKPOINTS.
bench-public: .venv/test
	$(BIN)/python bench/public.py $(CHECKPOINTS)

# All strategies of the sub-cubic family on one model.
bench-family: .venv/base
	$(BIN)/python bench/family.py

# Certified bound against proof length: every strategy on one model; the frontier is marked.
bench-frontier: .venv/test
	$(BIN)/python bench/frontier.py

# What docs/float32.md shows: every shipped model proved about real numbers and about float32 programs, some minutes; and
# what programs of numpy and PyTorch do.
bench-float32: .venv/test
	$(BIN)/python bench/float32.py table
	$(BIN)/python bench/float32.py programs
	$(BIN)/python bench/float32.py ties

# The study of docs/study, in out/study: hours on two cores. study-small does the same on two models per task (one of 128
# tokens), in some tens of minutes.
study: .venv/test
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/study.sh out/study 1000-1019 1000-1004 '100[0-2]'

study-small: .venv/test
	PATH="$(CURDIR)/$(BIN):$$PATH" tools/study.sh out/study-small 1000-1001 1000 1000

# What docs/study shows, from what `make study` found.
study-page: .venv/test
	$(BIN)/python tools/study_page.py out/study/results out/study/report-figures

# What docs/kinds.md shows: five models of each kind are trained in out/kinds, proved, checked and measured; half an hour.
# What docs/assets/kinds*.csv have already is not done again.
study-kinds: .venv/test
	$(BIN)/python bench/kinds.py out/kinds
	$(BIN)/python docs/assets/make_pictures.py

# Fitted growth of proofs with d_vocab and k.
bench-scaling: .venv/test
	$(BIN)/python bench/scaling.py

schema: .venv/base
	$(BIN)/python -c 'from certgen.certificate.statement import json_schema; print(json_schema(), end="")' \
		> schemas/certificate-v1.schema.json
	$(BIN)/python -c 'from certgen.problem.problem_file import json_schema; print(json_schema(), end="")' \
		> schemas/problem-v1.schema.json

# Mutants of the checker, all of them or those of FILES: hours. What is done already is in out/mutants.
mutants: .venv/test
	$(BIN)/python -m tests.mutants.checker $(FILES)

# 100,000 mutants of certificates; writes the table of docs/trust.md.
mutants-of-certificates: .venv/test
	$(BIN)/python -m tests.mutants.certificates

# Each target for so many seconds, guided by coverage if atheris can be installed; needs PyPI.
SECONDS ?= 3600
fuzz: .venv/test
	-$(PIP) atheris==3.0.0
	for target in certificate model whole; do $(BIN)/python -m tests.fuzz.run $$target $(SECONDS) || exit 1; done

# The documentation site, in out/site; needs no network.
docs: .venv/docs
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict

# What the commands in README.md and docs/ print, written into them; SLOW=--slow also runs those that take minutes.
docs-outputs: .venv/test
	$(BIN)/python -m tests.examples $(SLOW)
	$(BIN)/python docs/assets/make_pictures.py

# The measurements that docs/assets/measured.csv lacks, then the tables and pictures that show them.
measured: .venv/base
	$(BIN)/python bench/measured.py
	$(BIN)/python docs/assets/make_pictures.py

# The checker alone, in one file: python -S -I check-cert.pyz MODEL CERT
check-cert.pyz:
	$(PYTHON) tools/pack_checker.py $@

# What a release consists of, in dist/, with digests. Leftovers of setuptools would get into the wheel.
build: .venv/base
	rm -rf build dist *.egg-info
	$(PIP) build
	PIP_CONSTRAINT=constraints.txt $(BIN)/python -m build --outdir dist
	$(PYTHON) tools/pack_checker.py dist/check-cert.pyz
	cd dist && sha256sum *.whl *.tar.gz check-cert.pyz > SHA256SUMS

clean:
	rm -rf .venv .venv-tl build dist out *.egg-info check-cert.pyz .hypothesis .*_cache
	find . -name __pycache__ -type d -prune -exec rm -r {} +
