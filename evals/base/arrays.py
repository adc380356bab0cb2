"""Types of NumPy's arrays, for annotations: importing them loads no NumPy."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Floats: TypeAlias = "NDArray[np.float64]"
Ints: TypeAlias = "NDArray[np.int_]"
Bools: TypeAlias = "NDArray[np.bool_]"
