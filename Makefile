# Proctor. `make demo` shows one evaluation from end to end; `make test` runs every test.
# DATA=<folder> takes a real folder of images or DICOM instead of synthetic radiographs; MAPPING=<file> says how to
# read its table, PROTOCOL=<file> how to examine on it. Both are found by the name of a folder that is known.

PROCTOR := .venv/bin/proctor
UV := .venv/bin/uv

.PHONY: demo test hostile attacks coverage lint lock clean

demo: .venv/.runtime
	@setup/machine.sh
	@$(PROCTOR) demo $(if $(DATA),--data "$(DATA)") $(if $(MAPPING),--mapping "$(MAPPING)") \
		$(if $(PROTOCOL),--protocol "$(PROTOCOL)") $(ARGS)

# What needs no engine runs on every processor, whole evaluations by two; attacks and clocks want the machine for
# themselves. ARGS=<pytest arguments> runs what they choose, in one go.
test: .venv/.development
	@setup/machine.sh busybox-static catatonit chromium crun dcmtk dicom3tools podman runsc tesseract-ocr
ifdef ARGS
	@.venv/bin/python -m pytest $(ARGS)
else
	@.venv/bin/python -m pytest -n auto --dist loadfile -m "not engine"
	@.venv/bin/python -m pytest -n 2 --dist loadfile -m engine tests/end_to_end
	@.venv/bin/python -m pytest -m engine --ignore=tests/end_to_end
endif

# Hostile containers, images and outputs against this machine's engine, and the table of what held each.
hostile: .venv/.development
	@setup/machine.sh
	@PROCTOR_ATTACK_TABLE=1 .venv/bin/python -m pytest -q tests/hostile tests/runners/test_collector.py $(ARGS)

# Attacks on a hold-out through what is released, and what each attacker gained. SIZE=literature takes the sizes of the
# publications where those run for minutes.
SIZE := full
attacks: .venv/.development
	@PROCTOR_ATTACK_SIZE=$(SIZE) .venv/bin/python -m pytest -q tests/attacks $(ARGS)

# How often nominal 95 % intervals hold the truth, by simulation; RUNS=<number> of each design (1,000).
coverage: .venv/.development
	@PYTHONPATH=. .venv/bin/python tests/coverage/simulate.py $(RUNS)

lint: .venv/.development
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports

.venv/.runtime: requirements.lock setup/environment.sh
	@setup/machine.sh
	@echo "proctor: making .venv from requirements.lock" >&2
	@setup/environment.sh requirements.lock
	@touch $@

.venv/.development: requirements-dev.lock .venv/.runtime
	@setup/environment.sh requirements-dev.lock
	@touch $@

# The lock files name no host: uv.lock does, so it is not kept.
lock:
	$(UV) lock -q --upgrade
	$(UV) export -q --frozen --no-header --no-emit-project --no-default-groups --group build -o requirements.lock
	$(UV) export -q --frozen --no-header --no-emit-project --no-default-groups --group build --group dev -o requirements-dev.lock
	$(UV) export -q --frozen --no-header --only-group bootstrap -o setup/bootstrap.lock

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache *.egg-info
