"""Many perturbations, severities and metrics at once: how sure a loss beyond the margin is after allowing for all.

One family holds every change of every cell of the heat map. Changes of the same patients go together, the more so
from one severity to the next; the single-step max-T of correlated normal statistics (Hothorn, Bretz and Westfall 2008,
Biom J 50:346) knows it, where Holm would give most of the sample away. The correlation is that of the patients'
contributions, drawn by normal weights for the patients.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sandbox.scoring.bootstrap import BLOCK_BYTES, Seed
from sandbox.scoring.cases import Floats
from sandbox.scoring.multiplicity import family_p, spread_of

METHOD = "max-t-normal"


def adjusted_p(
    beyond: Sequence[float], contributions: Sequence[Floats], seed: Seed, replicates: int
) -> list[float]:
    """Adjusted p of each change, for the hypothesis that the loss is not beyond its margin.

    Args:
        beyond: distance beyond the margin in standard errors, negative inside.
        contributions: what each sampled patient adds to the change, centred; all of one length.
        seed: names the random stream.
        replicates: number of draws.
    """
    if not beyond:
        return []
    spread = spread_of(np.column_stack(contributions), seed)
    assert spread.columns is not None, "a sample of stress tests is small"
    generator = seed.generator()
    step = max(1, BLOCK_BYTES // (8 * max(spread.columns.shape)))
    largest = []
    for start in range(0, replicates, step):
        size = min(step, replicates - start)
        drawn = generator.standard_normal((size, spread.columns.shape[0])) @ spread.columns
        # What does not vary in the sample is not known to go with anything.
        drawn[:, spread.silent] = generator.standard_normal((size, int(np.count_nonzero(spread.silent))))
        largest.append(np.abs(drawn).max(axis=1))
    # The last digits of a matrix product differ between machines; a count of draws must not.
    return family_p([max(0.0, each) for each in beyond], np.round(np.concatenate(largest), 9))
