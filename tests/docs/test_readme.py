"""What the README and the other pages tell a reader to type works, and what they point at is there."""

import json
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text("utf-8")
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
TIDEMILL = Path(sys.executable).parent / "tidemill"


def blocks(text: str, language: str) -> list[str]:
    """The fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.DOTALL | re.MULTILINE)


def section(title: str) -> str:
    found = re.search(rf"^## {title}\n(.*?)(?=^## |\Z)", README, re.DOTALL | re.MULTILINE)
    assert found, title
    return found[1]


def typed_commands() -> list[list[str]]:
    """Every ``tidemill ...`` that a page's shell blocks or prose name."""
    found: set[str] = set()
    for page in PAGES:
        text = page.read_text("utf-8")
        # What these pages say in blocks is really typed, by tests of their own.
        for block in blocks(text, "sh") if page.name not in {"data.md", "engine.md"} else ():
            for line in block.splitlines():
                found.update(part.strip() for part in line.split("&&") if "tidemill" in part.split("/")[-1])
        found.update(re.findall(r"`((?:\.venv/bin/)?tidemill [a-z][^`]*)`", text))
    return sorted(shlex.split(command.removeprefix(".venv/bin/")) for command in found)


@pytest.mark.parametrize("title", ["Try it", "Test it"])
def test_one_command_does_it_all(title: str):
    [block] = blocks(section(title), "sh")
    assert block.count("\n") == 1
    first, _, then = block.strip().partition(" && ")
    assert first.startswith("sh install.sh")
    assert (ROOT / "install.sh").is_file()
    assert then.startswith(".venv/bin/")


def test_it_is_said_in_five_lines():
    opening = README.partition("\n## ")[0].splitlines()
    assert len([line for line in opening[1:] if line]) <= 5


@pytest.mark.parametrize("page", PAGES, ids=lambda p: str(p.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path):
    targets = re.findall(r"\]\((?!https?:|#|mailto:)([^)#]+)", page.read_text("utf-8"))
    assert [t for t in targets if not (page.parent / t).exists()] == []


def test_the_commands_on_the_pages_exist():
    import click

    from tidemill.cli.main import main

    wrong: list[str] = []
    for words in typed_commands():
        command: click.Command = main
        _, rest, _ = main.make_parser(click.Context(main)).parse_args(words[1:])
        while isinstance(command, click.Group) and rest and rest[0].isalpha():
            try:
                _, below, rest = command.resolve_command(click.Context(command), rest)
            except click.UsageError:
                break
            assert below is not None
            command = below
        options = {option for parameter in command.params for option in parameter.opts} | {"--help"}
        unknown = [word for word in rest if word.startswith("-") and word.partition("=")[0] not in options]
        if isinstance(command, click.Group) or unknown:
            wrong.append(shlex.join(words))
    assert wrong == []
    assert typed_commands()


def test_the_pipeline_of_your_own_runs_and_the_second_time_finds_all_done(tmp_path: Path):
    source, notebook = blocks(section("A pipeline of your own"), "python")
    assert len([line for line in source.splitlines() if line]) <= 10
    (tmp_path / "quadruple.py").write_text(source, "utf-8")
    [typed] = blocks(section("A pipeline of your own"), "sh")
    runs = [line.split()[1:] for line in typed.splitlines()]
    results = [
        json.loads(
            subprocess.run(
                [TIDEMILL, *run, "--json"], cwd=tmp_path, check=True, capture_output=True, text=True
            ).stdout
        )
        for run in runs
    ]
    assert [result["status"] for result in results] == ["succeeded", "succeeded"]
    assert [list(result["outputs"].values()) for result in results] == [[12], [12]]
    first, second = ([step["status"] for step in result["steps"]] for result in results)
    assert first == ["computed", "computed"]
    assert second == ["cached", "cached"]
    shown = notebook.replace(
        'tm.run("quadruple.py", n=3).outputs', 'print(tm.run("quadruple.py", n=3).outputs)'
    )
    cell = subprocess.run(
        [sys.executable, "-c", shown], cwd=tmp_path, check=True, capture_output=True, text=True
    )
    assert cell.stdout == "{'result': 12}\n"
