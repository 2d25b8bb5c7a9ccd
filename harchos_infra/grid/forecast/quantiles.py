"""How far a forecast may be off: quantiles from the residuals of its past issues, by lead time.

    q_p(h) = f(h) x quantile_p of actual / f over past issues and the leads within 6 hours of h

A ratio keeps quantiles from being negative, and alike in every unit. Leads past those of the issues take the
residuals of their last day.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from harchos_infra.grid.forecast.naive import DAY_H

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from harchos_infra.grid.forecast.issues import PastIssues

    Floats = NDArray[np.float64]

P10_P90 = (0.1, 0.9)
_REACH_H = 6


def quantiles(forecast: Floats, past: PastIssues, levels: Sequence[float] = P10_P90) -> Floats:
    """Return the quantiles of a forecast (hours,), of shape (levels, hours), in its unit.

    Raises ValueError where `past` has no issue.
    """
    if not len(past):
        raise ValueError("there is no past issue to take residuals from")
    leads = past.forecast.shape[1]
    positive = past.forecast > 0
    ratio = np.where(positive, past.actual / np.where(positive, past.forecast, 1.0), 1.0)
    centres = np.arange(leads)
    by_lead = np.empty((len(levels), leads))
    for lead in centres:
        near = ratio[:, max(0, lead - _REACH_H) : lead + _REACH_H + 1]
        by_lead[:, lead] = np.quantile(near, levels)
    hours = np.arange(len(forecast))
    last_day = leads - min(leads, DAY_H)
    lead_of = np.where(hours < leads, hours, last_day + (hours - last_day) % min(leads, DAY_H))
    found: Floats = by_lead[:, lead_of] * forecast
    return found
