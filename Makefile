# make demo   encode and decode the photos in examples/, beside JPEG, WebP and AVIF
# make test   everything that must hold, with lint and types, on all cores
# make docs   the site of docs/ with its gallery, links checked, into build/docs
# make web    the npm package and the page, in build/web/site (needs Node); prints what they weigh
PYTHON ?= python3

# Tests that need weights of other networks or evaluation photos run where these are found.
SHARED ?= ../shared
ifneq ($(wildcard $(SHARED)/weights),)
export PICOLAB_WEIGHTS ?= $(abspath $(SHARED)/weights)
endif
ifneq ($(wildcard $(SHARED)/data/eval),)
export PICOLAB_EVAL ?= $(abspath $(SHARED)/data/eval)
endif

# Most of what the tests' environment has is never imported. What is, is compiled then, and kept.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test web docs clean

.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --disable-pip-version-check -e .
	touch $@

demo: .venv-demo/ready
	.venv-demo/bin/python examples/demo.py --output build/demo

.venv-test/ready: pyproject.toml lab/pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/pip install --quiet --disable-pip-version-check --no-compile \
	  -e '.[cluster]' -e './lab[eval,study,dev]'
	touch $@

# A worker a core, each with one thread; types are checked beside them and told last.
test: .venv-test/ready
	@echo "weights of metrics: $${PICOLAB_WEIGHTS:-none, their tests are skipped}"
	@echo "evaluation photos: $${PICOLAB_EVAL:-none, their tests are skipped}"
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy >.venv-test/types 2>&1 & types=$$!; \
	OMP_NUM_THREADS=1 .venv-test/bin/python -m pytest -n logical --maxprocesses 8 \
	  --dist loadscope --no-loadscope-reorder; tests=$$?; \
	wait $$types; types=$$?; cat .venv-test/types; exit $$((tests + types))

.venv-docs/ready: docs/requirements.txt
	$(PYTHON) -m venv .venv-docs
	.venv-docs/bin/pip install --quiet --disable-pip-version-check -r docs/requirements.txt
	touch $@

docs: .venv-docs/ready .venv-demo/ready
	NO_MKDOCS_2_WARNING=1 .venv-docs/bin/mkdocs build --strict
	.venv-demo/bin/python examples/demo.py --output build/docs/gallery/viewer
	@echo "build/docs/index.html"

web:
	cd web && npm ci --no-audit --no-fund && npm run build
	@echo "look at it: $(PYTHON) -m http.server --directory build/web/site"

clean:
	rm -rf .venv-demo .venv-test .venv-docs build web/node_modules web/picocodec/dist
