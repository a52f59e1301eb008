"""Variance of level means when levels do not differ, with several cases to a patient.

Every case has the same variance and every two cases of a patient the same correlation, estimated over all
cases (the common-correlation model, as in Donner and Klar 1994, Am J Epidemiol 140:279). A level with few
patients borrows the correlation of all; levels that share patients covary.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import sparse

from sandbox.scoring.cases import Bools, Floats, Integers


@dataclass(frozen=True, slots=True, kw_only=True)
class Class:
    """Cases that a mean is taken over, by patient and level.

    Attributes:
        sizes: cases, a sparse matrix of shape (patients, levels).
        sums: residuals about the mean of all cases, same shape, sparse.
        n: cases of each level.
        of_patient, by_patient: cases and sum of residuals of each patient.
        variance: of one residual.
        correlation: of two residuals of one patient, within [0, 1].
    """

    sizes: Any
    sums: Any
    n: Floats
    of_patient: Floats
    by_patient: Floats
    variance: float
    correlation: float


def make_class(
    residual: Floats, counted: Bools, patient: Integers, patients: int, codes: Integers, levels: int
) -> Class:
    """Sum residuals by patient and level.

    Args:
        residual: of each case; only counted ones are read.
        counted: the cases that belong to the class.
        patient: patient of each case, 0..patients-1.
        patients: number of patients.
        codes: level of each case, 0..levels-1.
        levels: number of levels.
    """
    rows, columns, chosen = patient[counted], codes[counted], residual[counted]
    shape, ones = (patients, levels), np.ones(chosen.size)
    of_patient = np.bincount(rows, minlength=patients).astype(np.float64)
    by_patient = np.bincount(rows, weights=chosen, minlength=patients).astype(np.float64)
    variance = float(chosen @ chosen) / chosen.size if chosen.size else 0.0
    pairs = float((of_patient * (of_patient - 1)).sum())
    correlation = 0.0
    if pairs > 0 and variance > 0:
        together = float(by_patient @ by_patient) - float(chosen @ chosen)
        correlation = min(1.0, max(0.0, together / (variance * pairs)))
    return Class(
        sizes=sparse.csr_matrix((ones, (rows, columns)), shape=shape),
        sums=sparse.csr_matrix((chosen, (rows, columns)), shape=shape),
        n=np.bincount(columns, minlength=levels).astype(np.float64),
        of_patient=of_patient,
        by_patient=by_patient,
        variance=variance,
        correlation=correlation,
    )


def covariance(own: Class) -> Floats:
    """Covariance of the level means of one class, shape (levels, levels)."""
    n = np.maximum(own.n, 1.0)
    shared = (own.sizes.T @ own.sizes).toarray()
    alone = np.diag(own.n)
    return np.asarray(own.variance * (alone + own.correlation * (shared - alone)) / np.outer(n, n))


def cross_covariance(first: Class, second: Class) -> Floats:
    """Covariance of the level means of two classes through patients who have cases of both."""
    shared = (first.sizes.T @ second.sizes).toarray()
    pairs = float(first.of_patient @ second.of_patient)
    scale = math.sqrt(first.variance * second.variance)
    if pairs == 0 or scale == 0:
        return np.zeros_like(shared)
    correlation = min(1.0, max(-1.0, float(first.by_patient @ second.by_patient) / (scale * pairs)))
    outer = np.outer(np.maximum(first.n, 1.0), np.maximum(second.n, 1.0))
    return np.asarray(correlation * scale * shared / outer)
