"""A Ctrl-C that comes while a run is being recorded is heard by what drives it afterwards."""

from __future__ import annotations

import os
import signal
import threading

from harchos_infra.runs.interrupts import heard_interrupts


def test_what_came_in_the_outer_one_counts_in_the_inner_one() -> None:
    before = signal.getsignal(signal.SIGINT)
    with heard_interrupts(threading.Event()):
        os.kill(os.getpid(), signal.SIGINT)
        with heard_interrupts(threading.Event()) as interrupts:
            assert interrupts.wish(lambda pressed_again: "cancel") == "stop"
            assert interrupts.wish(lambda pressed_again: "cancel") is None
            os.kill(os.getpid(), signal.SIGINT)
            assert interrupts.wish(lambda pressed_again: "cancel") == "hurry"
    assert signal.getsignal(signal.SIGINT) is before


def test_a_ctrl_c_of_the_outer_one_is_asked_about() -> None:
    with heard_interrupts(threading.Event()):
        os.kill(os.getpid(), signal.SIGINT)
        with heard_interrupts(threading.Event()) as interrupts:
            assert interrupts.wish(lambda pressed_again: "detach") == "detach"
