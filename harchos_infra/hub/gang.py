"""The nodes of a hub act as one: a job starts on all of them, and ends on all of them.

Node 0 leads. It writes `gang.json` in the hub's mailbox, each other node `node.json` in its own; nothing else
is said between them. Both are states, not messages: whoever looks late misses nothing, and what an agent of
before left is told by the tokens with which each agent signs.

    leader    gather -> run -> over -> gather (next attempt) … -> end
    follower  ready  -> runs -> ended -> saved -> ready …      -> stored

An attempt is over when the job has failed on one node or succeeded on all. Why a job should end at one node,
be it the controller's wish, a spot notice or the end of its time, is why it ends at all.
"""

from __future__ import annotations

import secrets
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict
from typing import Any, Protocol

from harchos_infra.hub.ending import Ending, Endings
from harchos_infra.hub.mailbox import Mailbox, MailboxError
from harchos_infra.hub.meeting import Meeting, address_here, alone_environment, gang_environment
from harchos_infra.hub.nodes import node_boxes
from harchos_infra.hub.patience import OUTAGE_S, Patience
from harchos_infra.hub.runner import RunnerError

GANG, NODE = "gang.json", "node.json"
LOOK_S = 0.5
ANSWER_S = 120.0
"""How long a node may take to say that its job has ended, once that is over elsewhere."""
_TICK_S = 0.05
KILLED = 137
"""The exit code of a job that was killed before it could say one."""
_Document = Mapping[str, Any]


class Store(Protocol):
    """What a node keeps of its job: its checkpoint and what it has put out."""

    def save(self) -> int | None:
        """Store what this node wrote; return the number of its part, None if it wrote no checkpoint."""

    def publish(self, parts: list[int | None]) -> None:
        """Make a generation of the parts of all nodes; node 0 does."""

    def resume(self) -> None:
        """Start from what all nodes have stored."""


class Gang(Protocol):
    """One node's part in it."""

    def begin(self, attempt: int) -> dict[str, str] | None:
        """Wait until every node can start; return what the job is told. None: it is to end before."""

    def over(self, code: int | None) -> bool:
        """Tell whether the attempt is over; `code` is how this node's job ended, None while it runs."""

    def settle(self, code: int | None) -> tuple[int | None, str]:
        """Return how the attempt ended for all, and on which node; this one's job has ended."""

    def again(self, attempt: int, store: Store) -> bool:
        """Make ready for an attempt after one that failed; False: the job is to end instead."""

    def save_all(self, part: int | None) -> list[int | None] | None:
        """Return one new part of each node, this one's given; None where the job ends first."""

    def fail(self, reason: str) -> None:
        """Tell the others that this node cannot go on."""

    def stored(self, part: int | None) -> list[int | None]:
        """Tell that all is stored here; the leader waits for all nodes, and returns their parts.

        Raises RunnerError where one does not store its own.
        """

    def close(self, timeout_s: float) -> None:
        """See that the last word is out."""


class Alone:
    """A hub of one node: nobody to wait for."""

    def begin(self, attempt: int) -> dict[str, str]:
        """Start at once."""
        return alone_environment()

    def over(self, code: int | None) -> bool:
        """The attempt is over when the job has ended."""
        return code is not None

    def settle(self, code: int | None) -> tuple[int | None, str]:
        """The job's own end counts."""
        return code, ""

    def again(self, attempt: int, store: Store) -> bool:
        """Start from what lies there."""
        return True

    def save_all(self, part: int | None) -> list[int | None]:
        """There is no other part."""
        return [part]

    def fail(self, reason: str) -> None:
        """There is nobody to tell."""

    def stored(self, part: int | None) -> list[int | None]:
        """There is no other part."""
        return [part]

    def close(self, timeout_s: float) -> None:
        """There was no word."""


class _Member:
    """What leader and followers have in common: a word of their own, and an ear for the others'.

    No thread that supervises the job waits for the mailbox: a word is said when it can be, the latest counts.
    """

    def __init__(self, name: str, mailbox: Mailbox, endings: Endings, word: dict[str, Any]) -> None:
        self.token = secrets.token_hex(4)
        self.endings = endings
        endings.gang = lambda: self._ending
        self._ending: Ending | None = None
        self._name = name
        self._mailbox = mailbox
        self._word = word
        self._lock = threading.Lock()
        self._changes, self._said = 1, 0
        self._wake = threading.Event()
        threading.Thread(target=self._look_on, name="gang", daemon=True).start()

    def say(self, **changes: Any) -> None:
        """Change this node's word."""
        with self._lock:
            if all(self._word.get(name) == value for name, value in changes.items()):
                return
            self._word.update(changes)
            self._changes += 1
        self._wake.set()

    def close(self, timeout_s: float) -> None:
        """See that the last word is out."""
        until = time.monotonic() + timeout_s
        while self._said < self._changes and time.monotonic() < until:
            time.sleep(_TICK_S)

    def wait(self, true: Callable[[], bool], timeout_s: float) -> bool:
        """Wait until something is true; False when the job is to end first. Raises RunnerError if neither."""
        until = time.monotonic() + timeout_s
        while not true():
            if self.endings.now():
                return False
            if time.monotonic() > until:
                raise RunnerError(self.missing())
            time.sleep(_TICK_S)
        return True

    def missing(self) -> str:
        """Say who has not answered."""
        raise NotImplementedError

    def hear(self) -> None:
        """Take what the others say. Raises MailboxError."""
        raise NotImplementedError

    def _look_on(self) -> None:
        while True:
            with suppress(MailboxError):
                self._speak()
                self.hear()
                self._speak()
            self._wake.wait(LOOK_S)
            self._wake.clear()

    def _speak(self) -> None:
        with self._lock:
            word, change = dict(self._word), self._changes
        if self._said < change:
            self._mailbox.put_json(self._name, word)
            self._said = change


class Leader(_Member):
    """Node 0: says when an attempt begins and when it is over, and what the generations are made of."""

    def __init__(self, hub: Mailbox, nodes: int, address: str, endings: Endings, patience: Patience) -> None:
        self._nodes = nodes
        self._address = address
        self._patience = patience
        self._boxes = node_boxes(hub, nodes)[1:]
        self._heard: dict[int, _Document] = {}
        self._joined: dict[str, str] = {}
        self._attempt = 1
        self._round = 0
        self._verdict: tuple[int, str] | None = None
        super().__init__(GANG, hub, endings, {"schema": "harchos.gang/1", "state": "gather", "attempt": 1})
        self.say(leader=self.token)

    def begin(self, attempt: int) -> dict[str, str] | None:
        """Wait for the followers, and have them start."""
        self._attempt, self._verdict = attempt, None
        self.say(state="gather", attempt=attempt)
        if not self.wait(lambda: self._all(lambda word: word.get("ready") == attempt), OUTAGE_S):
            return None
        self._joined = self._agents()
        meeting = Meeting.new(self._mailbox.hub, attempt, self._address)
        self.say(state="run", agents=self._joined, meeting=asdict(meeting))
        return gang_environment(meeting, 0, self._nodes, self._is_local)

    def over(self, code: int | None) -> bool:
        """The attempt is over when one node's job has failed, or all have succeeded."""
        ended = {node: word["code"] for node, word in self._heard.items() if self._has_ended(word)}
        if code is not None:
            ended[0] = code
        failed = next(((code, node) for node, code in sorted(ended.items()) if code), None)
        if failed:
            self._verdict = failed[0], f" on node {failed[1]}"
        elif len(ended) == self._nodes:
            self._verdict = 0, ""
        return self._verdict is not None

    def settle(self, code: int | None) -> tuple[int | None, str]:
        """Have the followers end theirs. Raises RunnerError where one does not say so: it is lost."""
        if self._verdict is None:
            return code, ""
        code, where = self._verdict
        self.say(state="over", code=code, where=where)
        self.wait(lambda: self._all(self._has_ended), ANSWER_S)
        return code, where

    def again(self, attempt: int, store: Store) -> bool:
        """Gather what every node has stored, and let all start from that."""
        part = self._patience.insist(store.save)
        parts = self.save_all(part)
        if parts is None:
            return False
        self._patience.insist(lambda: store.publish(parts))
        self.say(prepare=attempt)
        self._patience.insist(store.resume)
        return True

    def save_all(self, part: int | None) -> list[int | None] | None:
        """Have each follower store its part."""
        self._round += 1
        number = self._round
        self.say(save=number)

        def answered() -> bool:
            return self._all(lambda word: word.get("saved") == number)

        def vain() -> bool:
            ended = self._verdict is not None or any(map(self._has_ended, self._heard.values()))
            return ended and self._word["state"] == "run"

        if not self.wait(lambda: answered() or vain(), OUTAGE_S) or not answered():
            return None
        return [part, *(self._heard[node].get("part") for node in range(1, self._nodes))]

    def fail(self, reason: str) -> None:
        """Have the followers end, too."""
        self._ending = Ending("failed", reason, 0.0)
        self._relay()

    def stored(self, part: int | None) -> list[int | None]:
        """Wait until every follower has stored all. Raises RunnerError where one does not."""
        since = time.monotonic()
        while not self._all(lambda word: word.get("stored") is True):
            ending = self._ending
            if ending and ending.phase == "failed":
                raise RunnerError(ending.reason)
            if not self.endings.may_wait(time.monotonic() - since):
                raise RunnerError(self.missing())
            time.sleep(_TICK_S)
        return [part, *(self._heard[node].get("part") for node in range(1, self._nodes))]

    def missing(self) -> str:
        """Say which followers have not answered; the controller takes the hub for lost."""
        silent = [n for n in range(1, self._nodes) if not self._is_with_us(self._heard.get(n))]
        numbers = ", ".join(map(str, silent or range(1, self._nodes)))
        return f"node {numbers} was lost: it does not answer"

    def hear(self) -> None:
        """Take each follower's word, and what it wishes."""
        for node, box in enumerate(self._boxes, start=1):
            word = box.get_json(NODE)
            if not isinstance(word, dict) or word.get("leader") != self.token:
                continue
            joined = self._joined.get(str(node))
            if joined is not None and word["agent"] != joined:
                self._ending = Ending("failed", f"node {node} was lost: its agent started again", 0.0)
                continue
            self._heard = {**self._heard, node: word}
            if word.get("wish"):
                self._take_wish(node, word["wish"])
        self.say(agents=self._agents())
        self._relay()

    def _agents(self) -> dict[str, str]:
        return {str(node): word["agent"] for node, word in self._heard.items()}

    def _take_wish(self, node: int, wish: _Document) -> None:
        phase, reason = wish["phase"], wish["reason"]
        if phase == "failed":
            lost = reason.startswith("the agent's guard")
            reason = f"node {node} was lost: {reason}" if lost else f"node {node}: {reason}"
        else:
            reason = f"{reason} (node {node})"
        self._ending = self._ending or Ending(phase, reason, wish["grace_s"])

    def _relay(self) -> None:
        ending = self.endings.now()
        if ending:
            self.say(end=asdict(ending))

    def _all(self, true: Callable[[_Document], bool]) -> bool:
        return len(self._heard) == self._nodes - 1 and all(map(true, self._heard.values()))

    def _has_ended(self, word: _Document) -> bool:
        return word.get("ended") == self._attempt

    def _is_with_us(self, word: _Document | None) -> bool:
        return word is not None and self._attempt in (word.get("ready"), word.get("ended"))

    @property
    def _is_local(self) -> bool:
        return self.endings.spot is None


class Follower(_Member):
    """A further node: starts and ends its job as the leader says, and tells how it ended."""

    def __init__(self, hub: Mailbox, node: int, nodes: int, endings: Endings, patience: Patience) -> None:
        self._hub = hub
        self._node = node
        self._nodes = nodes
        self._patience = patience
        self._heard: _Document = {}
        self._leader: str | None = None
        self._attempt = 0
        own = node_boxes(hub, nodes)[node]
        super().__init__(NODE, own, endings, {"schema": "harchos.node/1", "stored": False})
        self.say(agent=self.token)

    def begin(self, attempt: int) -> dict[str, str] | None:
        """Say that this node is ready, and wait for the leader's word."""
        self._attempt = attempt
        self.say(ready=attempt)
        if not self.wait(lambda: self._is("run"), OUTAGE_S):
            return None
        self._leader = self._heard["leader"]
        meeting = Meeting.parse(self._heard["meeting"])
        return gang_environment(meeting, self._node, self._nodes, self.endings.spot is None)

    def over(self, code: int | None) -> bool:
        """The attempt is over when the leader says so."""
        if code is not None:
            self.say(ended=self._attempt, code=code)
        return self._is("over")

    def settle(self, code: int | None) -> tuple[int | None, str]:
        """Tell how this node's job ended; the leader's word counts."""
        self.say(ended=self._attempt, code=KILLED if code is None else code)
        if not self._is("over"):
            return code, ""
        return self._heard["code"], self._heard["where"]

    def again(self, attempt: int, store: Store) -> bool:
        """Store what is here, and start from what all have stored."""
        while self._heard.get("prepare") != attempt:
            if not self.wait(lambda: self._heard.get("prepare") == attempt or self._is_asked(), OUTAGE_S):
                return False
            if self._is_asked():
                wanted = self._heard["save"]
                self.say(saved=wanted, part=self._patience.insist(store.save))
        self._patience.insist(store.resume)
        return True

    def wanted(self) -> int | None:
        """Return the number of the leader's wish for a part that is not answered yet."""
        return self._heard["save"] if self._is("run") and self._is_asked() else None

    def answer(self, wanted: int, part: int | None) -> None:
        """Tell the leader that the part which it wished for is stored."""
        self.say(saved=wanted, part=part)

    def save_all(self, part: int | None) -> list[int | None] | None:
        """Only the leader makes generations."""
        return None

    def fail(self, reason: str) -> None:
        """Tell the leader that this node cannot go on."""
        self.say(wish=asdict(Ending("failed", reason, 0.0)))

    def stored(self, part: int | None) -> list[int | None]:
        """Tell the leader that all is stored here."""
        self.say(stored=True, part=part)
        return []

    def missing(self) -> str:
        """Say that the leader has not answered."""
        return "node 0 was lost: it does not answer"

    def hear(self) -> None:
        """Take the leader's word; tell it what this node wishes."""
        word = self._hub.get_json(GANG)
        if isinstance(word, dict) and word.get("leader"):
            if self._leader not in (None, word["leader"]):
                self._ending = Ending("failed", "node 0 was lost: its agent started again", 0.0)
                return
            self._heard = word
            self.say(leader=word["leader"])
            if word.get("end") and self._is_heard(word):
                end = word["end"]
                self._ending = Ending(end["phase"], end["reason"], end["grace_s"])
        own = self.endings.own()
        if own:
            self.say(wish=asdict(own))

    def _is(self, state: str) -> bool:
        word = self._heard
        return self._is_heard(word) and (word["state"], word["attempt"]) == (state, self._attempt)

    def _is_asked(self) -> bool:
        return bool(self._heard.get("save", 0) > self._word.get("saved", 0))

    def _is_heard(self, word: _Document) -> bool:
        """Tell whether the word is of a leader that has heard this agent: not of one that is long gone."""
        return bool(word.get("agents", {}).get(str(self._node)) == self.token)


def join(hub: Mailbox, node: int, nodes: int, endings: Endings, patience: Patience) -> Gang:
    """Return this node's part in its hub's gang."""
    if nodes == 1:
        return Alone()
    if node:
        return Follower(hub, node, nodes, endings, patience)
    return Leader(hub, nodes, address_here(endings.spot is None), endings, patience)
