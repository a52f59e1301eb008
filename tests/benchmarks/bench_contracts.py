"""Cost of a case under each contract, around a Python program that answers at once.

Run: python tests/benchmarks/bench_contracts.py
"""

import importlib.util
import statistics
import tempfile
import time
from pathlib import Path

from runners.contracts.interface import ContractRun
from runners.contracts.registry import CONTRACTS
from runners.engine import connect
from runners.limits import MIB, Limits
from runners.posture import Posture

CONFORMANCE = Path(__file__).parent.parent / "runners" / "contracts" / "conftest.py"
COLD, WARM = 20, 200


def main():
    specification = importlib.util.spec_from_file_location("conformance", CONFORMANCE)
    conformance = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(conformance)
    limits = Limits(memory_bytes=256 * MIB, tmp_bytes=8 * MIB, shm_bytes=8 * MIB)
    print(f"{'contract':14} {'cases':>5} {'whole ms/case':>14} {'asked ms/case':>14}")
    with connect() as engine:
        for name, style in conformance.STYLES.items():
            count = WARM if name in ("gc-invoke", "medperf", "files-set") else COLD
            image = conformance.built(engine, name)
            with tempfile.TemporaryDirectory() as folder:
                root, declared = Path(folder, "input"), style.declared()
                root.mkdir()
                request = ContractRun(
                    engine=engine,
                    image=image,
                    posture=Posture(),
                    limits=limits,
                    input_root=root,
                    task=conformance.SCORE,
                    settings=declared.settings,
                    answer=declared.location,
                    user="65532:65532",
                )
                cases = [conformance.stage(Path(folder, "staged"), f"c0_5-{i}") for i in range(count)]
                began = time.monotonic()
                outcomes = list(CONTRACTS[style.contract].run(request, cases))
                seconds = time.monotonic() - began
                assert {outcome.failure for outcome in outcomes} == {None}
                asked = statistics.median(outcome.seconds for outcome in outcomes)
                print(f"{name:14} {count:5} {1000 * seconds / count:14.1f} {1000 * asked:14.1f}")


if __name__ == "__main__":
    main()
