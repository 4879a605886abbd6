"""Files that a reader of Arrow reads ahead in threads of its own."""

import subprocess
import sys
import textwrap
from pathlib import Path

READING = """
    import sys
    import time
    from pathlib import Path

    import pyarrow as pa

    from tidemill.core.events import silent
    from tidemill.data.sources import unpacking
    from tidemill.data.sources.delimited_reader import DelimitedReader
    from tidemill.data.sources.missing import Missing

    # The thread that lets go of the file last takes its time for it, as on a busy machine.
    unpacking._Lent.__del__ = lambda lent: time.sleep(0.5)
    reader = DelimitedReader([Path(sys.argv[1])], ",", delimiter=None, missing=Missing(), sink=silent)
    try:
        list(reader.batches(None, reader.names))
    except pa.ArrowInvalid:
        print("refused")
"""


def test_a_process_that_ends_after_a_file_was_refused_ends_well(tmp_path: Path):
    rows = [f"key{number},1\n" for number in range(800_000)]
    rows[3] = "a,b,c\n"
    file = tmp_path / "early.csv"
    file.write_text("k,v\n" + "".join(rows))
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(READING))
    ended = subprocess.run(
        [sys.executable, script, file], capture_output=True, text=True, timeout=60, check=False
    )
    assert (ended.returncode, ended.stdout) == (0, "refused\n"), ended.stderr
