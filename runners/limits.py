"""What a container may use: memory, processors, processes, files, output and time."""

from __future__ import annotations

from dataclasses import dataclass, fields

KIB = 1024
MIB = 1024 * KIB
GIB = 1024 * MIB


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Limits of one container; sizes in bytes, times in seconds of wall clock.

    Attributes:
        memory_bytes: memory including page cache, tmpfs and shared memory; swap is never added to it.
        cpus: processors, as a share of time (1.5 is one and a half).
        pids: processes and threads together.
        tmp_bytes: size of the writable ``/tmp`` (it counts towards ``memory_bytes``).
        tmp_inodes: files and directories in ``/tmp``.
        shm_bytes: size of ``/dev/shm`` (it counts towards ``memory_bytes``).
        shm_inodes: files in ``/dev/shm``.
        output_bytes: size of the output folder, for contracts that have one (it counts towards
            ``memory_bytes``).
        output_inodes: files and directories in the output folder.
        open_files: open files per process.
        seconds_to_ready: from start to the ready line, model loading included.
        seconds_per_case: from question to answer.
        seconds_per_run: time that all containers of a run spend starting and answering; time in which the
            host prepares cases does not count.
        seconds_to_stop: from the end of the questions until the container is killed.
        answer_bytes: length of one line of output.
        stray_bytes: what may be written to standard error during one case.
        log_tail_bytes: how much of standard error the host keeps for the operator, per container.
        starts_in_a_row: containers that may fail to become ready, one after another, before the run gives
            up.
        failures_in_a_row: containers that may be lost, one after another without an answer between, before
            the run gives up.
    """

    memory_bytes: int = 4 * GIB
    cpus: float = 2.0
    pids: int = 256
    tmp_bytes: int = 512 * MIB
    tmp_inodes: int = 20_000
    shm_bytes: int = 64 * MIB
    shm_inodes: int = 1_024
    output_bytes: int = 64 * MIB
    output_inodes: int = 4_096
    open_files: int = 1_024
    seconds_to_ready: float = 120.0
    seconds_per_case: float = 10.0
    seconds_per_run: float = 3_600.0
    seconds_to_stop: float = 2.0
    answer_bytes: int = 64 * KIB
    stray_bytes: int = 8 * MIB
    log_tail_bytes: int = 64 * KIB
    starts_in_a_row: int = 3
    failures_in_a_row: int = 25

    def __post_init__(self) -> None:
        for field in fields(self):
            if not getattr(self, field.name) > 0:
                raise ValueError(f"limit {field.name} must be greater than zero")
        # The engine refuses less than 6 MiB, and a container needs a little beside its own program.
        if self.memory_bytes < 16 * MIB:
            raise ValueError("limit memory_bytes must be at least 16 MiB")
