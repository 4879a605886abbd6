"""The environment lock: exact versions of what a run imported, and of what that needs, with hashes.

No registry address is in it, so that it works behind a company's mirror. What is installed is what ran, so
a requirement counts when its distribution is here; markers are read for extras only, and never evaluated
(``docs/decisions/environment-lock.md``).
"""

import platform
import re
from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution

from tidemill.engine.installed import normal

_NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_EXTRAS = re.compile(r"\s*\[([^\]]*)\]")
_EXTRA_OF_MARKER = re.compile(r"extra\s*==\s*['\"]([^'\"]+)['\"]")
_PIN = re.compile(r"(?P<name>[A-Za-z0-9._-]+)\s*(?:\[[^\]]*\])?\s*==\s*(?P<version>[^\s;\\]+)")
_HASH = re.compile(r"--hash=(sha256:[0-9a-f]{64})")


def environment_lock(packages: Mapping[str, str], *, hashes: str = "", hashes_from: str = "") -> str:
    """The lock of an environment, as text for ``pip install -r`` or ``uv pip install -r``.

    Args:
        packages: Distributions that the run's steps imported, and their versions then. Tidemill itself
            and what all of them need are added, in the versions that are installed here.
        hashes: Text of a hash-pinned requirements file; a pin of it with the same name and version
            gives its hashes.
        hashes_from: What that file is called, for the header.
    """
    pins = _pins(packages)
    known = read_hashes(hashes)
    hashed = {name for name, version in pins.items() if (name, version) in known}
    # pip wants a hash for every line or for none. Tidemill installed from a checkout has none, and must
    # not cost all the others theirs: it is named in the header, as a project's own lock leaves itself out.
    beside = pins.pop("tidemill") if hashed and "tidemill" not in hashed else None
    lines = list(_header(pins, sorted(set(pins) - hashed), hashes_from, beside))
    for name, version in sorted(pins.items()):
        found = known.get((name, version), ())
        lines.append(" \\\n".join([f"{name}=={version}", *(f"    --hash={h}" for h in found)]))
    return "\n".join(lines) + "\n"


def read_hashes(text: str) -> dict[tuple[str, str], tuple[str, ...]]:
    """The hashes of each (normalised name, version) in a hash-pinned requirements file."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for line in text.replace("\\\n", " ").splitlines():
        match = _PIN.match(line.strip())
        hashes = tuple(sorted(set(_HASH.findall(line))))
        if match and hashes:
            found[normal(match["name"]), match["version"]] = hashes
    return found


def _header(pins: Mapping[str, str], bare: list[str], hashes_from: str, beside: str | None) -> Iterator[str]:
    yield "# The environment of a Tidemill release: what its run imported, and what that needs."
    yield (
        f"# Python {platform.python_version()} ({platform.python_implementation()}), "
        f"{platform.system()} {platform.machine()}."
    )
    if beside is not None:
        yield f"# Beside these, without dependencies: tidemill=={beside}"
    if len(bare) < len(pins):
        yield f"# Hashes are those of {hashes_from or 'the given lock'}."
    if bare:
        yield f"# {len(bare)} of {len(pins)} pins have no hash: {', '.join(bare)}."
        if len(bare) < len(pins):
            yield "# 'uv pip install -r' takes this file as it is; pip wants a hash for every line or for none."


def _pins(packages: Mapping[str, str]) -> dict[str, str]:
    pins = {normal(name): version for name, version in packages.items()}
    seen: set[tuple[str, str]] = set()
    waiting: list[tuple[str, str]] = [("tidemill", ""), *((name, "") for name in pins)]
    while waiting:
        name, extra = waiting.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            found = distribution(name)
        except PackageNotFoundError:
            # A requirement for another system, or a package removed since the run: its own pin stays.
            continue
        pins.setdefault(name, found.version)
        for requirement in found.requires or ():
            waiting.extend(_needed(requirement, extra))
    return pins


def _needed(requirement: str, extra: str) -> Iterator[tuple[str, str]]:
    """(name, extra) that a requirement line asks for, "" for no extra; nothing when another extra guards it."""
    specifier, _, marker = requirement.partition(";")
    guards = {normal(guard) for guard in _EXTRA_OF_MARKER.findall(marker)}
    if guards and extra not in guards:
        return
    match = _NAME.match(specifier.strip())
    if match is None:
        return
    name = normal(match[0])
    yield name, ""
    extras = _EXTRAS.match(specifier.strip(), match.end())
    for asked in extras[1].split(",") if extras else ():
        yield name, normal(asked.strip())
