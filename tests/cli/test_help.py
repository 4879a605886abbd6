"""Every command helps itself, and helping costs nothing heavy."""

import json
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

import tidemill as tm
from tidemill.cli.command import Command, Group
from tidemill.cli.main import main

HEAVY = [
    "lance",
    "polars",
    "numpy",
    "pyarrow",
    "sqlalchemy",
    "rich",
    "keras",
    "sklearn",
    "onnxruntime",
    "obstore",
]
DEMANDED = [
    "init",
    "demo",
    "data",
    "import",
    "list",
    "log",
    "show",
    "diff",
    "blame",
    "branch",
    "switch",
    "revert",
    "merge",
    "tag",
    "export",
    "run",
    "runs",
    "show",
    "why",
    "report",
    "models",
    "release",
    "create",
    "list",
    "show",
    "verify",
    "promote",
    "rollback",
    "serve",
    "stop",
    "status",
    "predict",
    "feedback",
    "refit",
    "lineage",
    "gc",
    "label",
    "page",
    "start",
    "status",
    "commit",
    "close",
    "doctor",
]


def tree(
    command: click.Command = main, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], click.Command]]:
    yield path, command
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            below = command.get_command(context, name)
            assert below is not None
            yield from tree(below, (*path, name))


ALL = list(tree())
LEAVES = [(path, command) for path, command in ALL if not isinstance(command, click.Group)]


def named(pairs: list[tuple[tuple[str, ...], click.Command]]) -> list[str]:
    return [" ".join(path) or "tidemill" for path, _ in pairs]


def test_what_was_promised_is_there():
    assert Counter(DEMANDED) <= Counter(path[-1] for path, _ in ALL if path)


@pytest.mark.parametrize(("path", "command"), ALL, ids=named(ALL))
def test_help_says_what_it_does_and_gives_an_example(path: tuple[str, ...], command: click.Command):
    shown = CliRunner().invoke(main, [*path, "--help"])
    assert shown.exit_code == 0
    assert isinstance(command, Command | Group)
    assert shown.stdout.rstrip().endswith(f"Example:\n  {command.example}")
    assert command.help
    assert all(p.help for p in command.params if isinstance(p, click.Option) and p.name != "help")


@pytest.mark.parametrize(("path", "command"), ALL, ids=named(ALL))
def test_the_example_can_be_typed(path: tuple[str, ...], command: click.Command):
    assert isinstance(command, Command | Group)
    program, *words = shlex.split(command.example)
    assert program == "tidemill"
    assert tuple(words[: len(path)]) == path
    target: click.Command = main
    context = click.Context(main, info_name="tidemill")
    while isinstance(target, click.Group):
        _, found, words = target.resolve_command(context, words)
        assert found is not None
        target = found
    target.make_context(target.name, words)


@pytest.mark.parametrize(("path", "command"), LEAVES, ids=named(LEAVES))
def test_every_command_has_json(path: tuple[str, ...], command: click.Command):
    assert ["--json"] in [p.opts for p in command.params], path


def test_each_option_has_one_spelling_for_one_thing():
    seen: dict[str, set[str]] = {}
    for _, command in ALL:
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                for short in (o for o in parameter.opts if not o.startswith("--")):
                    seen.setdefault(short, set()).update(o for o in parameter.opts if o.startswith("--"))
    assert [short for short, longs in seen.items() if len(longs) != 1] == []


@pytest.mark.parametrize(
    "words", [["--help"], ["--version"], ["run", "--help"], ["data", "--help"], ["data", "import"]]
)
def test_helping_loads_nothing_heavy(words: list[str]):
    code = (
        "import sys, json\n"
        "from tidemill.cli.main import main\n"
        "try:\n    main(sys.argv[1:])\n"
        "finally:\n    print(json.dumps(sorted({m.partition('.')[0] for m in sys.modules})), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    loaded = json.loads(done.stderr.splitlines()[-1])
    assert "click" in loaded
    assert [name for name in HEAVY if name in loaded] == []


def test_one_command_does_not_load_the_others():
    code = (
        "import sys, json\n"
        "from tidemill.cli.main import main\n"
        "try:\n    main(['gc', '--help'])\n"
        "finally:\n    print(json.dumps([m for m in sys.modules if m.startswith('tidemill.cli.verbs.')]), file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert json.loads(done.stderr) == ["tidemill.cli.verbs.project"]


def test_json_never_loads_the_drawing(project: Path):
    code = (
        "import sys\n"
        "from tidemill.cli.main import main\n"
        "try:\n    main(['runs', '--json'])\n"
        "finally:\n    print('rich' in sys.modules, file=sys.stderr)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=project
    )
    assert (done.stdout, done.stderr) == ("[]\n", "False\n")


def test_the_program_and_the_module_are_one():
    typed = [[str(Path(sys.executable).parent / "tidemill")], [sys.executable, "-m", "tidemill"]]
    shown = [subprocess.run([*t, "--help"], capture_output=True, text=True, check=True).stdout for t in typed]
    assert shown[0] == shown[1]
    assert shown[0].startswith("Usage: tidemill ")


def test_version():
    assert CliRunner().invoke(main, ["--version"]).stdout == f"{tm.__version__}\n"


def test_without_a_command_it_helps_and_fails():
    done = subprocess.run([sys.executable, "-m", "tidemill"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: tidemill" in done.stderr
