"""Hamilton, in one process, with its cache: results are files, known by a function's source and its inputs."""

from pathlib import Path

from hamilton import ad_hoc_utils, driver
from hamilton.function_modifiers import parameterize, source
from helper import more

CACHE = Path(__file__).parent / "hamilton"


def chain(steps: int, start: int) -> int:
    @parameterize(**{f"x{n + 1}": {"x": source(f"x{n}")} for n in range(steps)})
    def add(x: int) -> int:
        return more(x)

    added = ad_hoc_utils.create_temporary_module(add)
    built = driver.Builder().with_modules(added).with_cache(path=CACHE).build()
    return built.execute([f"x{steps}"], inputs={"x0": start})[f"x{steps}"]
