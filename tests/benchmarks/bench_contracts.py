"""Cost of a case under each contract, over its floor: the same container with the same files, and no Proctor.

The floor of contracts that start a container is ``docker run --rm --network none`` with the case mounted, one after
another (one for all cases, for contracts that ask so). That of warm ones is a loop in the container itself: lines
through its standard input, or POST requests over its loopback. The program answers at once, so what is left is the
contract. Run: python tests/benchmarks/bench_contracts.py [--write], which also puts the figures where CONTRACTS.md
has them from, and makes its table anew.
"""

import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from runners.contracts.interface import ContractRun
from runners.contracts.registry import CONTRACTS
from runners.contracts.sockets import Socket, write_inputs
from runners.engine import connect
from runners.limits import MIB, Limits
from runners.posture import Posture

CONFORMANCE = Path(__file__).parent.parent / "runners" / "contracts" / "conftest.py"
FLOORS = Path(__file__).parents[2] / "runners" / "contracts" / "floors.yaml"
COLD, WARM = 20, 400
# Inside the container: start its server, then ask it as often as there are cases; prints seconds a case.
POSTS = """
import subprocess, sys, time, urllib.request
server = subprocess.Popen([sys.executable, sys.argv[1]], stderr=subprocess.DEVNULL)
def ask(path, **more):
    return urllib.request.urlopen(urllib.request.Request(f"http://127.0.0.1:4743{path}", **more)).status
while True:
    try:
        ask("/health")
        break
    except OSError:
        time.sleep(0.05)
times = []
for _ in range(int(sys.argv[2])):
    began = time.monotonic()
    assert ask("/invoke", method="POST") == 201
    times.append(time.monotonic() - began)
    __import__("os").unlink("/output/malignancy-likelihood.json")
print(sorted(times)[len(times) // 2])
server.kill()
"""


def conformance():
    specification = importlib.util.spec_from_file_location("conformance", CONFORMANCE)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def lines_in_turn(image, volume, questions):
    """Median seconds from a line to its answer through the engine's own client."""
    arguments = ["docker", "run", "--rm", "-i", "--network", "none", "-v", volume, image]
    times = []
    with subprocess.Popen(arguments, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert json.loads(process.stdout.readline()) == {"ready": True}
        for question in questions:
            began = time.monotonic()
            process.stdin.write(f"{question}\n")
            process.stdin.flush()
            process.stdout.readline()
            times.append(time.monotonic() - began)
        process.stdin.close()
    return statistics.median(times)


def docker_run(image, *options, command=(), entrypoint=None):
    chosen = ["--entrypoint", entrypoint] if entrypoint else []
    fixed = ("--rm", "--network", "none", "--user", "65532:65532", "--tmpfs", "/tmp:uid=65532")
    done = subprocess.run(
        ["docker", "run", *fixed, *options, *chosen, image, *command],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def floor(module, name, image, count, folder):
    """Seconds a case without Proctor."""
    style, output = module.STYLES[name], folder / "output"
    output.mkdir()
    output.chmod(0o777)
    cases = [module.stage(folder / "floor", f"c0_5-{i}") for i in range(count)]
    both = f"{folder}/floor/c0_5-0", str(output)
    if style.contract == "worker":
        questions = [
            json.dumps({"case": c.case, "directory": f"/input/{c.case}", "files": c.files}) for c in cases
        ]
        return lines_in_turn(image, f"{folder}/floor:/input:ro", questions)
    if style.contract == "grand-challenge":
        laid = folder / "laid"
        laid.mkdir()
        sockets = tuple(Socket(**item) for item in style.document["inputs"])
        write_inputs(module.SpellingReader() if style.decoded else None, sockets, cases[0], laid)
        mounts = ("-v", f"{laid}:/input:ro", "-v", f"{output}:/output")
        if "invoke" in name:
            command = ("-c", POSTS, f"/app/{style.program}", str(count))
            return float(docker_run(image, *mounts, command=command, entrypoint="python3"))
        return timed(lambda: docker_run(image, *mounts), count)
    if style.contract == "map":
        generation = name.removeprefix("map-")
        names = {"holoscan": ("HOLOSCAN_INPUT_PATH", "HOLOSCAN_OUTPUT_PATH", "HOLOSCAN_MODEL_PATH")}
        paths = ("/in", "/out", f"/opt/{generation}/models")
        variables = names.get(generation, ("MONAI_INPUTPATH", "MONAI_OUTPUTPATH", "MONAI_MODELPATH"))
        given = [f"-e{key}={value}" for key, value in zip(variables, paths, strict=True)]
        mounts = ("-v", f"{both[0]}:/in:ro", "-v", f"{both[1]}:/out", f"-eGENERATION={generation}")
        return timed(lambda: docker_run(image, *mounts, *given), count)
    if name == "files-case":
        mounts = (
            "-v",
            f"{both[0]}:/in:ro",
            "-v",
            f"{both[1]}:/out",
            "-ePROCTOR_INPUT=/in",
            "-ePROCTOR_OUTPUT=/out",
        )
        return timed(lambda: docker_run(image, *mounts), count)
    settings = style.declared().settings
    places = (settings.get("data") or settings["input"], settings["output"])
    options = ["-eHOME=/tmp", "-v", f"{folder}/floor:{places[0]}:ro", "-v", f"{output}:{places[1]}"]
    for key, item in style.attachments(folder / "floor-attached").items():
        place = settings["parameters" if key == "parameters_file" else "additional"]
        options += ["-v", f"{item}:{place}:ro"]
    entrypoint, command = settings.get("entrypoint"), settings.get("command") or ()
    began = time.monotonic()
    if entrypoint:
        docker_run(image, *options, entrypoint=entrypoint[0], command=(*entrypoint[1:], *command))
    else:
        docker_run(image, *options, command=command)
    return (time.monotonic() - began) / count


def timed(function, count):
    times = []
    for _ in range(count):
        began = time.monotonic()
        function()
        times.append(time.monotonic() - began)
    return statistics.median(times)


def under_contract(module, engine, name, image, count, folder):
    """Whole seconds a case, and the median of what the contract itself reports."""
    style, root = module.STYLES[name], folder / "input"
    root.mkdir()
    declared = style.declared()
    request = ContractRun(
        engine=engine,
        image=image,
        posture=Posture(),
        limits=Limits(memory_bytes=256 * MIB, tmp_bytes=8 * MIB, shm_bytes=8 * MIB),
        input_root=root,
        task=module.SCORE,
        settings=declared.settings,
        answer=declared.location,
        user="65532:65532",
        reader=module.SpellingReader() if style.decoded else None,
        attachments=style.attachments(folder / "attached"),
    )
    cases = [module.stage(folder / "staged", f"c0_5-{i}") for i in range(count)]
    began = time.monotonic()
    outcomes = list(CONTRACTS[style.contract].run(request, cases))
    seconds = time.monotonic() - began
    assert {outcome.failure for outcome in outcomes} == {None}
    return seconds / count, statistics.median(outcome.seconds for outcome in outcomes)


# The columns of CONTRACTS.md, each with the styles that it speaks of.
COLUMNS = {
    "`worker`": ("worker",),
    "`files`, case": ("files-case",),
    "`files`, set": ("files-set",),
    "GC `exec`": ("gc-exec", "gc-exec-mha"),
    "GC `invoke`": ("gc-invoke", "gc-invoke-mha"),
    "`medperf`": ("medperf", "medperf-weights", "medperf-mlcube"),
    "`map`": ("map-holoscan", "map-monai"),
}
WHOLE_SET = ("files-set", "medperf", "medperf-weights", "medperf-mlcube")
WARM_STYLES = ("worker", "gc-invoke", "gc-invoke-mha", *WHOLE_SET)


def main(write):
    module = conformance()
    print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors; milliseconds a case")
    print(f"{'contract':16} {'cases':>5} {'floor':>8} {'asked':>8} {'whole':>8} {'asked/floor':>12}")
    cost = {}
    with connect() as engine:
        for name in module.STYLES:
            count = WARM if name in WARM_STYLES else COLD
            image = module.built(engine, name)
            folder = Path(tempfile.mkdtemp(prefix="proctor-bench-"))
            folder.chmod(0o755)
            try:
                base = floor(module, name, image, count, folder)
                whole, asked = under_contract(module, engine, name, image, count, folder)
            finally:
                shutil.rmtree(folder)
            # One clock runs for all cases of a set.
            cost[name] = 1000 * (whole if name in WHOLE_SET else asked)
            print(
                f"{name:16} {count:5} {1000 * base:8.2f} {1000 * asked:8.2f} {1000 * whole:8.2f} {asked / base:12.2f}",
                flush=True,
            )
    figures = {column: figure([cost[name] for name in names]) for column, names in COLUMNS.items()}
    print(json.dumps(figures, indent=1))
    if write:
        head = [line for line in FLOORS.read_text().splitlines() if line.startswith("#")]
        rows = [f"{json.dumps(column)}: {json.dumps(text)}" for column, text in figures.items()]
        FLOORS.write_text("\n".join([*head, *rows, ""]))
        subprocess.run([sys.executable, "-m", "runners.reference_tables"], check=True)


def figure(milliseconds):
    """One number, or the least and the most, to two places that mean something."""
    texts = [f"{value:.1f}" if value < 10 else f"{value:.0f}" for value in sorted(milliseconds)]
    return texts[0] if texts[0] == texts[-1] else f"{texts[0]}-{texts[-1]}"


if __name__ == "__main__":
    main(write="--write" in sys.argv[1:])
