"""Where and when one job that may be paused and moved should run: exact, over all places and slots.

Problem. As in `interruptible`, with a place for each row: running in place r and slot t costs c(r, t), a stop
there save(r, t), a resume restart(r, t), and a pause in one place takes g slots. A job may go on in another
place s: its checkpoint travels for m(r, s) slots (those of stopping and starting included) and costs
move(r, s), infinite where nothing leads from r to s. Having the job's data in place r at the start costs
first(r). The least total, over all places, starts, pauses and moves, follows from

    A(t, r, w) = c(r, t) + min(A(t-1, r, w-1), P(t, r, w-1) + restart(r, t))
    A(t, r, 1) = c(r, t) + first(r)
    P(t, s, w) = min(P(t-1, s, w), A(t-1-g, s, w) + save(s, t-1-g),
                     min over r of A(t-1-m(r, s), r, w) + save(r, t-1-m(r, s)) + move(r, s))

with A(t, r, w) the least cost of a job with w slots worked whose last slot is t in place r, and P(t, s, w)
of one that may be resumed in place s at the start of slot t. Where move(r, s) = leave(r) + enter(s) and all
moves take equally long, it does not matter who left: one state for a job on its way takes the place of the
last line.

Of equal costs the job that goes on wins over the one that is resumed, staying over moving, and the earlier
end over the later.

Cost. Separable: O(slots x places x W). A matrix: O(slots x places^2 x W) for each length of a move that
occurs, one min-plus product a slot. W counts only states that can still become the whole work. Memory: A of
all slots, 8 bytes a state, and one more for the bit that says whether it was resumed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]
    Ints = NDArray[np.int64]
    Bools = NDArray[np.bool_]

NOWHERE = -1


def migrating(
    cost: Floats,
    work_slots: int,
    *,
    move_cost: Floats | tuple[Floats, Floats],
    move_slots: int | Ints = 1,
    start_cost: ArrayLike = 0.0,
    save_cost: ArrayLike = 0.0,
    restart_cost: ArrayLike = 0.0,
    gap_slots: int = 1,
    last_share: float = 1.0,
) -> tuple[float, Ints]:
    """Return the least total, infinite where nothing is feasible, and the place of each slot (or NOWHERE).

    `cost` has shape (places, slots), without NaN; `save_cost` and `restart_cost` broadcast to it,
    `start_cost` to (places,). `move_cost` is a matrix [from, to], whose diagonal is not looked at, or a pair
    (leave, enter) of costs by place, none negative; with a pair, `move_slots` is one number of at least
    `gap_slots`. Raises ValueError where there is no work.
    """
    places, slots = cost.shape
    if work_slots < 1:
        raise ValueError("a job needs at least one slot of work")
    where = np.full(slots, NOWHERE)
    if not places or work_slots > slots:
        return np.inf, where
    gap = max(gap_slots, 1)
    save, restart = (
        np.ascontiguousarray(np.broadcast_to(np.asarray(a, dtype=np.float64), cost.shape).T)
        for a in (save_cost, restart_cost)
    )
    moves = (
        _Separable(*move_cost, int(move_slots), work_slots)
        if isinstance(move_cost, tuple)
        else _Matrix(move_cost, np.broadcast_to(np.asarray(move_slots), move_cost.shape))
    )
    start = np.broadcast_to(np.asarray(start_cost, dtype=np.float64), (places,))
    programme = _Programme(np.ascontiguousarray(cost.T), work_slots, save, restart, start, gap, moves)
    total, end, last = programme.solve(last_share)
    if np.isfinite(total):
        programme.read_back(end, last, where)
    return total, where


class _Programme:
    """The states of one job. `running` has the axes (slots, work done - 1, places)."""

    def __init__(
        self,
        cost: Floats,
        work: int,
        save: Floats,
        restart: Floats,
        start: Floats,
        gap: int,
        moves: _Separable | _Matrix,
    ) -> None:
        slots, places = cost.shape
        self._cost, self._save, self._restart, self._start = cost, save, restart, start
        self._work, self._gap, self._moves = work, gap, moves
        self._running = np.full((slots, work, places), np.inf)
        self._resumed = np.zeros((slots, work, places), dtype=bool)

    def solve(self, last_share: float) -> tuple[float, int, int]:
        """Return the least total with the slot and place of its end."""
        slots, work = self._cost.shape[0], self._work
        ready = np.full(self._running.shape[1:], np.inf)
        best = (np.inf, -1, -1)
        for t in range(slots):
            low, high = max(work - slots + t, 0), min(work, t + 1)
            self._pause(t, slice(max(low - 1, 0), min(high, work - 1)), ready)
            now, first = self._running[t], slice(max(low, 1), high)
            behind = slice(first.start - 1, high - 1)
            if low == 0:
                now[0] = self._start
            if t:
                resume = self._moves.enter(ready, behind) + self._restart[t]
                np.less(resume, self._running[t - 1, behind], out=self._resumed[t, first])
                np.minimum(resume, self._running[t - 1, behind], out=now[first])
            if high == work:
                ended = now[work - 1] + last_share * self._cost[t]
                place = int(ended.argmin())
                if ended[place] < best[0]:
                    best = (float(ended[place]), t, place)
            now[low:high] += self._cost[t]
        return best

    def _pause(self, t: int, done: slice, ready: Floats) -> None:
        """Let jobs be ready for slot t that were stopped in their place `gap` slots ago, or moved there."""
        if done.start == done.stop:
            return
        stopped = t - 1 - self._gap
        if stopped >= 0:
            np.minimum(ready[done], self._running[stopped, done] + self._save[stopped], out=ready[done])
        for length in self._moves.lengths:
            left = t - 1 - length
            if left >= 0:
                self._moves.arrive(length, self._running[left, done] + self._save[left], ready, done)

    def read_back(self, t: int, place: int, where: Ints) -> None:
        """Write the place of each slot into `where`, from the end in slot t to the start."""
        for done in range(self._work - 1, -1, -1):
            where[t] = place
            if self._resumed[t, done, place]:
                t, place = self._stop_before(t, done - 1, place)
            else:
                t -= 1

    def _stop_before(self, t: int, done: int, place: int) -> tuple[int, int]:
        """Return slot and place of the cheapest stop from which a job is resumed in slot t in `place`."""
        left = self._running[:t, done] + self._save[:t]
        own = left[: max(t - self._gap, 0), place].copy()
        cost, length = self._moves.into(place)
        left += cost
        left[np.arange(t)[:, None] > t - 1 - length] = np.inf
        stop, source = np.unravel_index(int(left.argmin()), left.shape)
        if len(own) and own.min() <= left[stop, source]:
            return int(own.argmin()), place
        return int(stop), int(source)


class _Separable:
    """Moves that cost leave(r) + enter(s) and take equally long: only the cheapest to have left is kept."""

    def __init__(self, leave: Floats, enter: Floats, length: int, work: int) -> None:
        self.lengths = (length,)
        self._leave, self._enter = leave, enter
        self._on_the_way = np.full((work, 1), np.inf)

    def arrive(self, length: int, left: Floats, ready: Floats, done: slice) -> None:
        """Let jobs that have left at these costs (work done, places) be at any place's door."""
        cheapest = (left + self._leave).min(axis=1, keepdims=True)
        np.minimum(self._on_the_way[done], cheapest, out=self._on_the_way[done])

    def enter(self, ready: Floats, behind: slice) -> Floats:
        """Return the least cost of a job that may be resumed, (work done, places)."""
        return np.minimum(ready[behind], self._on_the_way[behind] + self._enter)

    def into(self, place: int) -> tuple[Floats, Ints]:
        """Return cost and length of the move from each place into `place`."""
        return self._leave + self._enter[place], np.full(len(self._leave), self.lengths[0])


class _Matrix:
    """Moves of any cost and length: a min-plus product for each length that occurs."""

    def __init__(self, cost: Floats, length: Ints) -> None:
        self._cost = cost.copy()
        np.fill_diagonal(self._cost, np.inf)
        self._length = length
        self._by_length = {
            int(n): np.where(length == n, self._cost, np.inf)
            for n in np.unique(length[np.isfinite(self._cost)])
        }
        self.lengths = tuple(self._by_length)

    def arrive(self, length: int, left: Floats, ready: Floats, done: slice) -> None:
        """Let jobs that have left at these costs (work done, places) be ready where they arrive."""
        cost, arrived, spare = self._by_length[length], ready[done], np.empty_like(left)
        for source in np.flatnonzero(np.isfinite(left.min(axis=0)) & np.isfinite(cost).any(axis=1)):
            np.add(left[:, source, None], cost[source], out=spare)
            np.minimum(arrived, spare, out=arrived)

    def enter(self, ready: Floats, behind: slice) -> Floats:
        """Return the least cost of a job that may be resumed, (work done, places)."""
        return ready[behind]

    def into(self, place: int) -> tuple[Floats, Ints]:
        """Return cost and length of the move from each place into `place`."""
        return self._cost[:, place], self._length[:, place]
