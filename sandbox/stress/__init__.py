"""Stress tests: change cases in known, physical steps, and see what an algorithm makes of them.

How another part uses this package:

* ``registry.registry()`` gives every ``Perturbation`` by name; ``registry.find(name)`` one of them.
* ``perturb.perturb_case(source, files, perturbation, severity, case=, seed=, key=, destination=, donor=)`` makes
  the perturbed case in a new folder ``destination`` and gives ``PerturbedCase(files, bytes, clipped, pseudonym)``
  or ``NotApplicable(reason)``. Severity 0 is the clean case with new identifiers.
* In child processes: ``BoundedPool(perturb.perturb_task, memory_bytes=3 << 30)`` over ``PerturbTask``.
* ``suites.load_suite(path)`` reads a file of ``policies/stress``.

What the caller decides, because a perturbation does not know truth or run:

* ``Perturbation.cases`` says ``positive`` or ``negative`` where only cases of that class are meant.
* ``Perturbation.donor`` says that the staged files of another patient must be given, and of which class.
* ``Perturbation.in_place`` says that every pixel stays where it was: only then a mask or a box that is true of the
  clean case is true of the perturbed one.
* ``Perturbation.kind == "run"`` changes no file: ``Perturbation.run`` names what to do otherwise
  (the same case again in the same container, a fresh container, another order, ...).
* ``case`` and ``seed`` decide the random numbers: take the hold-out's case id and the protocol's seed, so that every
  submission meets the same noise. ``key`` decides identifiers: take the case key of the run.

Verdict by ``Perturbation.expectation``: ``must not change``, ``may change within a margin``, ``must refuse``.

Parsing and decoding foreign bytes happens here: only inside bounded child processes.
"""
