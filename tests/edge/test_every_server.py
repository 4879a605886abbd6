"""Every HTTP server of the package is the edge's: nothing else of it listens."""

import ast
import re
from pathlib import Path

import tidemill

SOURCE = Path(tidemill.__file__).parent
FILES = {str(file.relative_to(SOURCE)): file.read_text("utf-8") for file in SOURCE.rglob("*.py")}
LISTENS = re.compile(
    r"(?<!control)\.listen\(|\bhttp\.server\b|\bsocketserver\b|\bstart_server\(|\bcreate_server\(|uvicorn\.Server\b"
)


def test_only_the_edge_listens_on_an_address():
    # The control socket is no address: it is a file that its owner alone may open.
    found = {name for name, text in FILES.items() if LISTENS.search(text)}
    assert found == {"edge/sockets.py", "edge/listening.py", "serve/control.py"}


def test_each_server_of_the_package_is_walked_by_a_test():
    """One that is new fails here, until it has a test that calls ``edge_walk.walk`` as those two have."""
    users = {name for name, text in FILES.items() if re.search(r"\bListening\(", text)}
    assert users == {"serve/server.py", "loop/datasets/pages/label_server.py"}
    applications = {
        name
        for name, text in FILES.items()
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.ClassDef) and any("Application" in ast.unparse(base) for base in node.bases)
    }
    assert applications == {"serve/application.py", "loop/datasets/pages/label_server.py"}
    tests = Path(__file__).parents[1]
    walked = {
        f
        for f in ("serve/test_tokens.py", "cli/test_label_page.py")
        if "edge_walk.walk(" in (tests / f).read_text("utf-8")
    }
    assert len(walked) == len(applications)
