# make demo   encode and decode the photos in demo/, beside JPEG, WebP and AVIF
# make test   everything that must hold, with lint and types
PYTHON ?= python3

.PHONY: demo test clean

.venv-demo/ready: pyproject.toml
	$(PYTHON) -m venv .venv-demo
	.venv-demo/bin/pip install --quiet --disable-pip-version-check -e .
	touch $@

demo: .venv-demo/ready
	.venv-demo/bin/python examples/demo.py --output build/demo

.venv-test/ready: pyproject.toml
	$(PYTHON) -m venv .venv-test
	.venv-test/bin/pip install --quiet --disable-pip-version-check -e '.[eval,dev]'
	touch $@

test: .venv-test/ready
	.venv-test/bin/ruff check .
	.venv-test/bin/ruff format --check .
	.venv-test/bin/mypy
	.venv-test/bin/python -m pytest

clean:
	rm -rf .venv-demo .venv-test build
