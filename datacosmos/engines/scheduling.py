"""How Linux shares a processor out among what runs at the same time."""

import ctypes
import platform
import sys

GET_AND_SET = {"x86_64": (315, 314), "aarch64": (275, 274)}  # the numbers of sched_getattr and sched_setattr
SHORT = 100_000
"""Nanoseconds that a thread asks for at a time, the least that Linux grants; usual is a millisecond and more."""


class Attributes(ctypes.Structure):
    """sched_attr of linux/sched/types.h, as of its first version; `runtime` is in nanoseconds."""

    _fields_ = (
        *(("size", ctypes.c_uint32), ("policy", ctypes.c_uint32), ("flags", ctypes.c_uint64)),
        *(("nice", ctypes.c_int32), ("priority", ctypes.c_uint32)),
        *(("runtime", ctypes.c_uint64), ("deadline", ctypes.c_uint64), ("period", ctypes.c_uint64)),
    )
    runtime: int


def attributes_of(process_id: int) -> Attributes | None:
    """None where the system has none, or the process has ended."""
    found = Attributes()
    is_known = _call(0, process_id, ctypes.byref(found), ctypes.sizeof(found), 0)
    return found if is_known else None


def take_short_turns(process_id: int) -> None:
    """The threads that it is going to begin run for a shorter time at a time, and as long in all.

    So a thread of little work, such as a short find, need not wait until one of much work pauses. Linux before 6.12
    takes no notice, other systems and processors aren't asked.
    """
    if wanted := attributes_of(process_id):
        wanted.runtime = SHORT
        _call(1, process_id, ctypes.byref(wanted), 0)


def _call(which: int, *arguments: object) -> bool:
    """Whether it went well."""
    if sys.platform != "linux" or platform.machine() not in GET_AND_SET:
        return False
    number = GET_AND_SET[platform.machine()][which]
    return ctypes.CDLL(None).syscall(number, *arguments) == 0
