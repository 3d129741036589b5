"""Reads what series.c has left in series.filz from Python, where it stands, without filz: the file is mapped at the
address that its header names, so the pointers in it are right. c/format.h has the header, and checks more of it.

    build/release/examples/example_series && python3 examples/series.py"""

import ctypes
import fcntl
import mmap
import os
import struct
import sys

SERIES_TAG = 0x736572696573
MAP_FIXED_NOREPLACE = 0x100000  # of Linux


class Series(ctypes.Structure):
    """As in series.h."""


Series._fields_ = [
    ("name", ctypes.c_char_p),
    ("values", ctypes.POINTER(ctypes.c_double)),
    ("count", ctypes.c_size_t),
    ("next", ctypes.POINTER(Series)),
]


def map_heap(file):
    """The address of the root."""
    magic, heap_format, word, _, _, _, base, tag = struct.unpack("=8s4I3Q", file.read(48))
    _, _, cursor, _, root = struct.unpack("=5Q", file.read(40))
    if (magic, heap_format, word, tag) != (b"filzheap", 2, ctypes.sizeof(ctypes.c_size_t), SERIES_TAG):
        sys.exit("series.filz: not a heap of series.c")
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    flags = mmap.MAP_SHARED | MAP_FIXED_NOREPLACE
    arguments = (ctypes.c_void_p(base), ctypes.c_size_t(cursor), mmap.PROT_READ, flags, file.fileno(), ctypes.c_long(0))
    if libc.mmap(*arguments) != base:
        sys.exit(f"series.filz: mmap: {os.strerror(ctypes.get_errno())}")
    return root


def open_heap():
    """As a reader of filz's: a writer has the lock for itself."""
    try:
        file = open("series.filz", "rb")
        fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        return file
    except FileNotFoundError:
        sys.exit("series.filz: run example_series first")
    except BlockingIOError:
        sys.exit("series.filz: a program is writing it")


def main():
    with open_heap() as file:
        series = ctypes.cast(map_heap(file), ctypes.POINTER(Series))
        while series:
            one = series.contents
            print(f"{one.name.decode()}: {one.values[: one.count]}")
            series = one.next


main()
