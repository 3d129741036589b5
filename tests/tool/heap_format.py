"""The fields of a heap file: reads and writes them."""

import struct

# Offsets in the header, in a checkpoint and in a chunk; see c/format.h.
MAGIC, FORMAT, WORD_SIZE, PERSISTENT, CLEAN, PAGE_SIZE, BASE, TAG, CHECKSUM = 0, 8, 12, 16, 20, 24, 32, 40, 48
CAPACITY, CURSOR, LAST, ROOT, THREADS, TAILS, ID, GENERATION, PID, PROGRAM = 56, 64, 72, 80, 88, 96, 104, 112, 116, 120
CHECKPOINTS = 184, 224
HEADER_SIZE = 264
SEQUENCE, CHECKPOINT_CURSOR, CHECKPOINT_LAST, CHECKPOINT_ROOT, CHECKPOINT_CHECKSUM = 0, 8, 16, 24, 32
OFFSET, SIZE, FILL, BLOCKS, FRESH, NEXT_TAIL, OWNER, STATE, CHUNK_GENERATION = 0, 8, 16, 24, 32, 40, 48, 52, 56
TAIL = 1


def get(data, offset, kind="Q"):
    return struct.unpack_from("=" + kind, data, offset)[0]


def put(data, offset, number, kind="Q"):
    struct.pack_into("=" + kind, data, offset, number % 2 ** (8 * struct.calcsize(kind)))


def fnv_1a(numbers):
    checksum = 0xCBF29CE484222325
    for number in numbers:
        checksum = (checksum ^ number) * 0x100000001B3 % 2**64
    return checksum


def put_checksum(data):
    """Of what never changes."""
    fields = (FORMAT, "I"), (WORD_SIZE, "I"), (PAGE_SIZE, "Q"), (BASE, "Q"), (TAG, "Q")
    put(data, CHECKSUM, fnv_1a(get(data, offset, kind) for offset, kind in fields))


def put_checkpoint(data, at, *numbers):
    """Its sequence, cursor, last chunk and root."""
    struct.pack_into("=5Q", data, at, *numbers, fnv_1a(numbers))
