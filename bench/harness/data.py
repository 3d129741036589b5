"""The input of the real programs, the same on every machine: a JSON document and a text."""

import itertools
import json
import random

VOCABULARY = 200_000


def words_of(random_numbers):
    """Made-up words; the first are the short ones, as in a language."""
    letters = "etaoinshrdlucmfwypvbgkqjxz"
    return ["".join(random_numbers.choices(letters, range(26, 0, -1), k=2 + i.bit_length() // 3 + i % 5))
            for i in range(VOCABULARY)]


# As in a text: the n-th most frequent word 1/n as often as the first.
ZIPF = list(itertools.accumulate(1 / (n + 1) for n in range(VOCABULARY)))


def zipf(random_numbers, words, count):
    return random_numbers.choices(words, cum_weights=ZIPF, k=count)


def write_text(path, size):
    random_numbers = random.Random(1)
    words = words_of(random_numbers)
    with open(path, "w") as file:
        while file.tell() < size:
            line = " ".join(zipf(random_numbers, words, 10_000))
            file.write(line + "\n")


def record(number, random_numbers, words):
    name, city, *tags = zipf(random_numbers, words, 6)
    return {
        "id": number,
        "name": name,
        "active": random_numbers.random() < 0.5,
        "balance": round(random_numbers.uniform(-1e4, 1e4), 2),
        "address": {"city": city, "position": [random_numbers.uniform(-90, 90), random_numbers.uniform(-180, 180)]},
        "tags": tags,
        "note": " ".join(random_numbers.choices(words, k=20)),
        "parent": None,
    }


def write_json(path, size):
    random_numbers = random.Random(2)
    words = words_of(random_numbers)
    # Ever new numbers, but the same few thousand records: making each anew would take minutes.
    records = [json.dumps(record(0, random_numbers, words))[len('{"id": 0'):] for _ in range(2_000)]
    with open(path, "w") as file:
        file.write("[\n")
        for number in itertools.count():
            file.write(f'{{"id": {number}{records[number % len(records)]}')
            if file.tell() >= size:
                break
            file.write(",\n")
        file.write("\n]\n")


def have(path, write, size):
    """Writes the file unless it is there."""
    if not path.exists():
        unfinished = path.with_suffix(".unfinished")
        write(unfinished, size)
        unfinished.rename(path)
    return path
