"""Where it was measured, and what: for the lines before the results."""

import os
import platform
import re
import shutil
import subprocess
from datetime import date

PACKAGES = {
    "glibc": "libc6",
    "jemalloc": "libjemalloc-dev",
    "tcmalloc": "libgoogle-perftools-dev",
    "memkind": "libmemkind-dev",
    "Boost": "libboost-dev",
    "LMDB": "liblmdb-dev",
    "SQLite": "libsqlite3-dev",
    "cJSON": "libcjson-dev",
    "gcc": "gcc",
}
CRATES = ["mimalloc", "tikv-jemallocator", "bumpalo", "bump-scope", "bump_alloc2", "serde_json", "rkyv",
          "disk-dlmalloc", "lgalloc"]


def output(*command):
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"


def processor():
    model = re.search(r"model name\s*: (.*)", open("/proc/cpuinfo").read())
    memory = int(re.search(r"MemTotal:\s*(\d+)", open("/proc/meminfo").read())[1]) / 2**20
    return f"{model[1] if model else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GiB"


def room(directory):
    """Bytes for which there is room both on the disk and in memory."""
    available = int(re.search(r"MemAvailable:\s*(\d+)", open("/proc/meminfo").read())[1]) * 1024
    return min(available, shutil.disk_usage(directory).free)


def debian_versions():
    versions = {name: output("dpkg-query", "-W", "-f", "${Version}", package) for name, package in PACKAGES.items()}
    # Without Debian's epoch and revision.
    return ", ".join(f"{name} {re.split('[+-]', version.split(':')[-1])[0]}" for name, version in versions.items())


def crate_versions(bench):
    lock = (bench / "rust/Cargo.lock").read_text()
    versions = {name: re.search(rf'name = "{name}"\nversion = "([^"]*)"', lock)[1] for name in CRATES}
    return ", ".join(f"{name} {version}" for name, version in versions.items())


def mimalloc_versions(build):
    """What the headers that the peers were compiled with say, as in `#define MI_MALLOC_VERSION 30302`."""
    cache = (build / "c/CMakeCache.txt").read_text()
    versions = []
    for include in re.findall(r"MIMALLOC_\d_INCLUDE:\w+=(.*)", cache):
        number = int(re.search(r"MI_MALLOC_VERSION (\d+)", open(f"{include}/mimalloc.h").read())[1])
        versions.append(f"{number // 10000}.{number // 100 % 100}.{number % 100}")
    return ", ".join(sorted(versions))


def describe(bench, build, directory):
    return {
        "machine": processor(),
        "kernel": f"{platform.system()} {platform.release()}",
        "file system": output("df", "--output=fstype", str(directory)).split()[-1],
        "date": date.today().isoformat(),
        "libraries": debian_versions(),
        "mimalloc in C": mimalloc_versions(build),
        "crates": crate_versions(bench),
        "rust": output("rustc", "--version").split(" (")[0],
        "pairs": "each ratio is of two runs, one after the other; low and high are quartiles",
    }
