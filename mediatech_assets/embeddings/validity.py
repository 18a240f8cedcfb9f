"""Vectors as Arrow columns, and which of them can be used.

What belongs here: the way between a matrix and a column of lists, and the one judgement of a vector's length,
numbers and norm that the store's audit and imports share. What does not: where vectors come from or go to.
"""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa

#: How far the length of a normalised vector may be from 1.
NORM_TOLERANCE = 1e-3

VECTOR_TYPE = pa.list_(pa.float32())


@dataclass(frozen=True, slots=True, eq=False)
class Faults:
    """What is wrong with the vectors of a column: masks of one truth a row, at most one of them true.

    Args:
        wrong_length: No vector, or one of another number of dimensions.
        not_finite: A number is missing, infinite or no number.
        not_unit: The length differs from 1, where the profile says that it is 1.
    """

    wrong_length: np.ndarray
    not_finite: np.ndarray
    not_unit: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        """Rows without any fault."""
        return ~(self.wrong_length | self.not_finite | self.not_unit)


def find_faults(vectors: pa.ListArray, dimensions: int, *, normalised: bool) -> Faults:
    """Judges every vector of a column.

    Args:
        vectors: Column of `VECTOR_TYPE`.
        dimensions: Length that they should have.
        normalised: Whether their norm should be 1.
    """
    lengths = np.diff(vectors.offsets.to_numpy())
    right = (lengths == dimensions) & vectors.is_valid().to_numpy(zero_copy_only=False)
    numbers = matrix(vectors.filter(pa.array(right)), dimensions)
    finite = np.isfinite(numbers).all(axis=1)
    unit = np.ones(len(numbers), dtype=bool)
    if normalised:
        # In float64: the square of a large float32 has no float32.
        squares = np.einsum("ij,ij->i", numbers, numbers, dtype=np.float64)
        with np.errstate(invalid="ignore"):
            unit = np.abs(np.sqrt(squares) - 1) <= NORM_TOLERANCE
    not_finite, not_unit = np.zeros((2, len(vectors)), dtype=bool)
    not_finite[right] = ~finite
    not_unit[right] = finite & ~unit
    return Faults(~right, not_finite, not_unit)


def matrix(vectors: pa.ListArray, dimensions: int) -> np.ndarray:
    """A column of lists of one length as a matrix of shape `(rows, dimensions)`; a missing number is NaN."""
    return vectors.flatten().to_numpy(zero_copy_only=False).reshape(len(vectors), dimensions)


def vector_column(vectors: np.ndarray) -> pa.Array:
    """Rows of a matrix as an Arrow list column, without a copy for each number."""
    count, dimensions = vectors.shape
    offsets = np.arange(count + 1, dtype=np.int32) * dimensions
    numbers = pa.array(vectors.astype(np.float32, copy=False).ravel())
    return pa.ListArray.from_arrays(pa.array(offsets, pa.int32()), numbers)
