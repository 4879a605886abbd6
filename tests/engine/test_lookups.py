"""Code that is looked up by a text: each edit of what is reached misses, or the run says that it cannot see it."""

from pathlib import Path

import pytest

from tests.engine.projects import Project, statuses
from tidemill.core.errors import InvalidInput
from tidemill.engine.closure import Closure, closure_of
from tidemill.pipeline import load

HEAD = """
import builtins, functools, importlib, importlib.machinery, importlib.util, json, marshal, operator, os, pickle, pkgutil
import pydoc, runpy, subprocess, sys
from importlib import import_module
from importlib import import_module as im
from pathlib import Path
import tidemill as tm

NAME = "lib"
BY_KIND = {"a": "lib", "b": "other"}
NAMES = ["lib", "other"]
CODE = "helper(1) + 1"
FOLDER = os.path.dirname(__file__)
SCRIPT = Path(FOLDER, "x.sh")
loaded = importlib.import_module
partial = functools.partial(importlib.import_module, "lib")

class Settings:
    plugin = "lib"

def helper(x):
    return x + 10

def stranger():
    return 1
"""
FILES = {
    "lib": "import beside\ndef value(): return beside.SIZE + 1\n",
    "beside": "SIZE = 5\n",
    "other": "def value(): return 7\n",
    "package/__init__": "",
    "package/one": "def value(): return 8\n",
    "package/deep/__init__": "",
    "package/deep/two": "def value(): return 9\n",
    "stranger": "def value(): return 0\n",
}
LIB = [("lib", "+ 1", "+ 2"), ("beside", "SIZE = 5", "SIZE = 6")]
OTHER = [("other", "return 7", "return 70")]
PACKAGE = [("package/one", "return 8", "return 80"), ("package/deep/two", "return 9", "return 90")]
HELPER = [("pipeline", "x + 10", "x + 11")]

SEEN: dict[str, tuple[str, list[tuple[str, str, str]]]] = {
    "a literal": ('return importlib.import_module("lib").value()', LIB),
    "imported from": ('return import_module("lib").value()', LIB),
    "under another name": ('return im("lib").value()', LIB),
    "in a variable": ('return loaded("lib").value()', LIB),
    "by keyword": ('return importlib.import_module(name="lib").value()', LIB),
    "imported in the body": ('from importlib import import_module as x\n    return x("lib").value()', LIB),
    "module imported in the body": ('import importlib as x\n    return x.import_module("lib").value()', LIB),
    "dunder import": ('return __import__("lib").value()', LIB),
    "builtins": ('return builtins.__import__("lib").value()', LIB),
    "a constant": ("return importlib.import_module(NAME).value()", LIB),
    "a variable": ('name = "lib"\n    return importlib.import_module(name).value()', LIB),
    "two variables": ('name = "lib"\n    name = "other"\n    return im(name).value()', LIB + OTHER),
    "a condition": ('return im("lib" if os.sep else "other").value()', LIB + OTHER),
    "joined": ('return im("li" + "b").value()', LIB),
    "formatted": ('return im(f"{NAME}").value()', LIB),
    "a dict of names": ('return im(BY_KIND["a"]).value()', LIB + OTHER),
    "a dict's get": ('return im(BY_KIND.get("a")).value()', LIB + OTHER),
    "a loop": ("return sum(im(n).value() for n in NAMES)", LIB + OTHER),
    "a loop over literals": ('for n in ("lib", "other"):\n        im(n).value()\n    return 1', LIB + OTHER),
    "a partial": ("return partial().value()", LIB),
    "a partial in the body": ('return functools.partial(im, "lib")().value()', LIB),
    "a beginning": ('return im(f"package.{sys.argv[0]}")', PACKAGE),
    "a beginning, joined": ('return im("package." + sys.argv[0])', PACKAGE),
    "a beginning, formatted": ('return im("package.{}".format(sys.argv[0]))', PACKAGE),
    "a beginning, by percent": ('return im("package.%s" % sys.argv[0])', PACKAGE),
    "a submodule": ('return im("package.deep.two").value()', PACKAGE[1:]),
    "relative": ('return im(".deep.two", "package").value()', PACKAGE[1:]),
    "relative by keyword": ('return im(".two", package="package.deep").value()', PACKAGE[1:]),
    "two up": ('return im("..one", "package.deep").value()', PACKAGE[:1]),
    "sys.modules": ('import lib\n    return sys.modules["lib"].value()', LIB),
    "sys.modules.get": ('return sys.modules.get("lib").value()', LIB),
    "globals": ('return globals()["helper"](1)', HELPER),
    "globals, computed": ("return globals()[sys.argv[0]](1)", HELPER),
    "globals, get": ('return globals().get("helper")(1)', HELPER),
    "globals, passed on": ("return sorted(globals())", HELPER),
    "vars": ('return vars()["helper"](1)', HELPER),
    "own module": ('return getattr(sys.modules[__name__], "helper")(1)', HELPER),
    "own module, computed": ("return getattr(sys.modules[__name__], sys.argv[0])(1)", HELPER),
    "own module, imported": ('return getattr(im(__name__), "helper")(1)', HELPER),
    "eval": ('return eval("helper(1)")', HELPER),
    "eval of a constant": ("return eval(CODE)", [*HELPER, ("pipeline", '+ 1"', '+ 2"')]),
    "eval that imports": ('return eval("__import__(\\"lib\\").value()")', LIB),
    "exec": ('exec("import lib\\nlib.value()")\n    return 1', LIB),
    "exec that looks up": (
        'exec("import importlib\\nimportlib.import_module(\\"lib\\")")\n    return 1',
        LIB,
    ),
    "compile": ('return eval(compile("helper(1)", "x", "eval"))', HELPER),
    "builtins.eval": ('return builtins.eval("helper(1)")', HELPER),
    "run_module": ('return runpy.run_module("lib")["value"]()', LIB),
    "find_spec": ('return importlib.util.find_spec("lib")', LIB),
    "resolve_name": ('return pkgutil.resolve_name("lib:value")()', LIB),
    "locate": ('return pydoc.locate("lib.value")()', LIB),
    "getattr of a module": ('import lib\n    return getattr(lib, "value")()', LIB),
    "attrgetter": ('import lib\n    return operator.attrgetter("value")(lib)()', LIB),
    "renamed in the body": ('load = importlib.import_module\n    return load("lib").value()', LIB),
    "a module renamed in the body": ('m = importlib\n    return m.import_module("lib").value()', LIB),
    "a module renamed twice": ('m = importlib\n    n = m\n    return n.import_module("lib").value()', LIB),
    "in a dict of functions": ('return LOADERS["a"]("lib").value()', LIB),
    "a function of a class": ('return Loading.load("lib").value()', LIB),
    "__builtins__": ('return __builtins__["__import__"]("lib").value()', LIB),
    "__builtins__, as a module": ('return __builtins__.__import__("lib").value()', LIB),
    "own frame": ('return sys._getframe().f_globals["helper"](1)', HELPER),
    "a loader": ('return importlib.util.find_spec("lib").loader.load_module().value()', LIB),
    "Python started with code": (
        'return subprocess.run([sys.executable, "-c", "import lib"]).returncode',
        LIB,
    ),
    "Python started with a module": ('return subprocess.run([sys.executable, "-m", "lib"]).returncode', LIB),
    "by getattr": ('return getattr(builtins, "__imp" + "ort__")("lib").value()', LIB),
    "by a renamed getattr": ('get = getattr\n    return get(importlib, "import_module")("lib").value()', LIB),
    "by vars": ('return vars(builtins)["__import__"]("lib").value()', LIB),
    "by __dict__": ('return importlib.__dict__.get("import_module")("lib").value()', LIB),
    "by attrgetter": ('return operator.attrgetter("import_module")(importlib)("lib").value()', LIB),
    "of an imported module": ('return __import__("importlib").import_module("lib").value()', LIB),
    "of a module in sys.modules": ('return sys.modules["builtins"].eval("helper(1)")', HELPER),
    "of an imported module in a variable": (
        'm = im("importlib")\n    return m.import_module("lib").value()',
        LIB,
    ),
    "after other code that is known": (
        'eval("1")\n    load = importlib.import_module\n    return load("lib").value()',
        LIB,
    ),
    "in a lambda": ('return (lambda: im("lib"))().value()', LIB),
    "in a function in it": ('def inner():\n        return im("lib")\n    return inner().value()', LIB),
    "in a helper": ("return reached()", LIB),
    "in a module that the body imports": ("import reacher\n    return reacher.value()", LIB),
    "of a class": ("return im(Settings.plugin).value()", LIB),
}
LOADERS = '\nLOADERS = {"a": importlib.import_module, "b": len}\n'
LOADING = "\nclass Loading:\n    name = 'lib'\n    load = staticmethod(importlib.import_module)\n"
MORE = {
    "in a dict of functions": LOADERS,
    "a dict of functions, computed": LOADERS,
    "a dict of functions, another": LOADERS,
    "a function of a class": LOADING,
    "a class that has one": LOADING,
    "a partial of the module": "\nread = functools.partial(pickle.load)\n",
    "in a helper": '\ndef reached():\n    return import_module("lib").value()\n',
    "an argument": "\ndef load(name):\n    return importlib.import_module(name)\n",
}
REACHER = 'import importlib\nNAME = "lib"\ndef value():\n    return importlib.import_module(NAME).value()\n'

UNSEEN = {
    "an argument": "return load('lib').value()",
    "a setting": "return importlib.import_module(str(x)).value()",
    "what is computed": "return __import__(os.sep + NAME)",
    "eval": "return eval(str(x))",
    "exec": "exec(str(x))\n    return 1",
    "a file": 'return runpy.run_path("/elsewhere/x.py")',
    "a spec": 'return importlib.util.spec_from_file_location("x", "/elsewhere/x.py")',
    "entry points": 'from importlib.metadata import entry_points\n    return entry_points(group="x")',
    "all modules": "return list(pkgutil.iter_modules())",
    "passed on": "return list(map(importlib.import_module, sys.argv))",
    "sys.modules": "return sys.modules[str(x)]",
    "a variable": 'return os.environ["HOME"]',
    "a variable's get": 'return os.environ.get("HOME")',
    "getenv": 'return os.getenv("HOME")',
    "a module renamed": "m = importlib\n    return m.import_module(str(x))",
    "a dict of functions, computed": "return LOADERS[str(x)]('lib')",
    "__builtins__, computed": "return __builtins__[str(x)]('lib')",
    "pickle": "return pickle.loads(bytes(x))()",
    "pickle of a file": "return pickle.load(open('/elsewhere/x'))",
    "pickle, passed on": "return list(map(pickle.loads, sys.argv))",
    "marshal": "return marshal.loads(bytes(x))",
    "another frame": "return sys._getframe(1).f_globals['value']",
    "a function's globals": "return helper.__globals__['stranger']()",
    "a finder": "return importlib.machinery.PathFinder.find_spec('lib', sys.argv).loader.load_module()",
    "a finder, made": "return importlib.machinery.FileFinder('/elsewhere').find_spec('lib')",
    "a loader": "return x.loader.load_module()",
    "a process": "return subprocess.run([sys.executable, '/elsewhere/x', str(x)])",
    "a process, in a variable": "command = [sys.executable, '-c', str(x)]\n    return subprocess.check_output(command)",
    "a shell": "return os.system('python3 /elsewhere/x')",
    "a script": "return subprocess.run(['sh', 'x.sh'])",
    "a script in a shell": "return os.system('cd . && sh ./x.sh > out')",
    "a script that starts itself": "return subprocess.check_output(['./x.sh'])",
    "a script in a folder": "return subprocess.run(['sh', os.path.join(FOLDER, 'x.sh')])",
    "a script in a formatted text": "return os.popen(f'sh {FOLDER}/x.sh')",
    "a script, in a variable": "script = SCRIPT\n    return subprocess.run(['awk', '-f', str(script)])",
    "a script, in a command": "command = ['sh']\n    command = ['sh', 'x.sh']\n    return subprocess.call(command)",
    "joblib": "import joblib\n    return joblib.load('/elsewhere/x')",
    "joblib, imported from": "from joblib import load\n    return load('/elsewhere/x')",
    "joblib, where it is made": "from joblib.numpy_pickle import load\n    return load('/elsewhere/x')",
    "dill": "import dill\n    return dill.loads(bytes(x))",
    "cloudpickle": "import cloudpickle\n    return cloudpickle.load(open('/elsewhere/x'))",
    "pandas": "import pandas as pd\n    return pd.read_pickle('/elsewhere/x')",
    "pandas, where it is made": "from pandas.io.pickle import read_pickle\n    return read_pickle('/elsewhere/x')",
    "NumPy": "import numpy as np\n    return np.load('/elsewhere/x', allow_pickle=True)",
    "NumPy, by position": "import numpy as np\n    return np.load('/elsewhere/x', None, True)",
    "NumPy, options": "import numpy as np\n    return np.load('/elsewhere/x', **x)",
    "NumPy, a partial": "import numpy as np\n    return functools.partial(np.load, allow_pickle=True)('/elsewhere/x')",
    "torch": "import torch\n    return torch.load('/elsewhere/x', weights_only=False)",
    "torch, computed": "import torch\n    return torch.load('/elsewhere/x', weights_only=bool(x))",
    "Keras": "import keras\n    return keras.saving.load_model('/elsewhere/x', safe_mode=False)",
    "YAML": "import yaml\n    return yaml.load(str(x), Loader=yaml.UnsafeLoader)",
    "a shelf": "import shelve\n    return shelve.open('/elsewhere/x')",
    "a library": "import ctypes\n    return ctypes.CDLL('/elsewhere/x.so')",
    "a partial of the module": "return read(open('/elsewhere/x'))",
    "getattr, computed": "return getattr(builtins, str(x))('lib')",
    "getattr, begun": "return getattr(builtins, '__im' + str(x))('lib')",
    "getattr, kept": "get = getattr(builtins, 'eval')\n    return get(str(x))",
    "getattr of pickle": "return getattr(pickle, 'lo' + 'ads')(bytes(x))",
    "vars, computed": "return vars(builtins)[str(x)]('lib')",
    "relative to something": "return im('.lib', str(x))",
}
NOTHING = {
    "methods of these names": "class F:\n        def eval(self): return 1\n        def compile(self): return 2\n    return F().eval()",
    "re.compile": 'import re\n    return re.compile("x").pattern',
    "ast.literal_eval": 'import ast\n    return ast.literal_eval("1")',
    "getattr of a value": 'return getattr(x, "real")',
    "a variable that is set": 'os.environ["OMP_NUM_THREADS"] = "1"\n    return 1',
    "the environment handed on": "return dict(env=os.environ)['env'] is None",
    "an own function of that name": "def eval(y): return y\n    return eval(x)",
    "json.loads": 'return json.loads("1")',
    "methods that are called like pickle's": "class F:\n        def loads(self, y): return y\n    return F().loads(x)",
    "a copy by pickle": "return pickle.loads(pickle.dumps(x))",
    "a program": 'return subprocess.run(["git", "log"], check=True).returncode + os.system("sort words.txt")',
    "a script that is not there": 'return subprocess.run(["sh", "y.sh", "/elsewhere/x.sh", "package"])',
    "a dict of functions, another": 'return LOADERS["b"]("lib")',
    "a class that has one": "return Loading.name",
    "an own loader": "class F:\n        def load_module(self): return 1\n    return F().load_module()",
    "a name in a function's globals": 'return helper.__globals__["__name__"]',
    "NumPy without pickle": "import numpy as np\n    return np.load('x.npy') + np.load('x.npy', allow_pickle=False)",
    "weights alone": "import torch\n    return torch.load('x.pt', weights_only=True)",
    "safe YAML": "import yaml\n    return yaml.load('1', Loader=yaml.CSafeLoader)",
    "getattr of a library": "import numpy as np\n    return getattr(np, str(x))",
    "getattr, begun otherwise": "import pandas as pd\n    return getattr(pd, 'to_' + str(x))",
    "getattr of another member": "return getattr(builtins, 'le' + 'n')('lib')",
    "an own getattr": "def getattr(a, b): return 1\n    return getattr(builtins, str(x))",
    "a class's __dict__": "return Settings.__dict__['plugin']",
    "a renamed module": 'm = json\n    return m.loads("1")',
    "library": 'return importlib.import_module("json").loads("1")',
}


def closure(folder: Path, body: str, edit: tuple[str, str, str] | None = None, more: str = "") -> Closure:
    """The closure of ``work`` with this body, after an edit of one file."""
    load.leave()
    text = f"{HEAD}{more}\n@tm.step\ndef work(x: int) -> object:\n    {body}\n"
    files = {**FILES, "reacher": REACHER, "pipeline": text}
    if edit is not None:
        name, old, new = edit
        assert old in files[name]
        files[name] = files[name].replace(old, new)
    for name, content in files.items():
        file = folder / f"{name}.py"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)
    (folder / "x.sh").write_text("echo 1\n")
    return closure_of(load.load_module(folder / "pipeline.py").work)


@pytest.mark.parametrize("name", SEEN)
def test_an_edit_of_what_a_text_names_misses(tmp_path: Path, name: str) -> None:
    body, edits = SEEN[name]
    more = MORE.get(name, "")
    before = closure(tmp_path, body, more=more)
    assert not [u for u in before.unseen if "argv" not in u.where]
    for edit in edits:
        assert closure(tmp_path, body, edit, more).code != before.code, f"{edit} is not seen"
    away = closure(tmp_path, body, ("stranger", "return 0", "return 1"), more)
    assert away.code == before.code


@pytest.mark.parametrize("name", UNSEEN)
def test_what_cannot_be_known_is_told(tmp_path: Path, name: str) -> None:
    found = closure(tmp_path, UNSEEN[name], more=MORE.get(name, "")).unseen
    assert len(found) == 1, found
    assert found[0].where.startswith("pipeline.py, line ")
    assert found[0].is_variable == ("HOME" in UNSEEN[name])


@pytest.mark.parametrize("name", NOTHING)
def test_what_looks_nothing_up_is_not_told(tmp_path: Path, name: str) -> None:
    assert closure(tmp_path, NOTHING[name], more=MORE.get(name, "")).unseen == ()


def test_computed_code_reaches_all_of_its_module(tmp_path: Path) -> None:
    body = UNSEEN["eval"]
    assert closure(tmp_path, body, HELPER[0]).code != closure(tmp_path, body).code


PIPELINE = """
import importlib
from pathlib import Path
import tidemill as tm
import words

FOLDER = Path(__file__).parent

@tm.step{uses}
def work(kind: str) -> str:
    text = (FOLDER / "note.txt").read_text() if (FOLDER / "note.txt").exists() else ""
    return text + str(importlib.import_module(kind).value())

@tm.pipeline
def p(kind: str = "lib"):
    return work(kind)
"""
USES = "(uses=['lib', 'package', Path('note.txt'), words.SIZE, words.told])"


@pytest.fixture
def project(project: Project) -> Project:
    for name, text in {**FILES, "words": "SIZE = 1\n\ndef told():\n    return 1\n"}.items():
        project.write(text, f"{name}.py")
    project.write("a note", "note.txt")
    return project


def test_a_run_says_what_it_cannot_see_and_how_to_declare_it(project: Project) -> None:
    project.write(PIPELINE.format(uses=""))
    result = project.run()
    [warning] = result.warnings
    assert "Step 'work'" in warning
    assert "pipeline.py, line 12: importlib.import_module(kind)" in warning
    assert "@tm.step(uses=[" in warning
    assert project.run().warnings == [warning], "of a step from the cache too"


@pytest.mark.both_stores
def test_what_is_declared_is_part_of_the_key(project: Project) -> None:
    project.write(PIPELINE.format(uses=USES))
    result = project.run()
    assert result.warnings == []
    assert project.value(result) == "a note6"
    assert statuses(project.run())["work"] == "cached"
    for name, text in (
        ("lib.py", "def value(): return 2\n"),
        ("package/deep/two.py", "def value(): return 2\n"),
        ("note.txt", "another note"),
        ("words.py", "SIZE = 2\n\ndef told():\n    return 1\n"),
        ("words.py", "SIZE = 2\n\ndef told():\n    return 2\n"),
    ):
        project.write(text, name)
        assert statuses(project.run())["work"] == "computed", name
        assert statuses(project.run())["work"] == "cached", name
    project.write("VALUE = 1\n", "stranger.py")
    assert statuses(project.run())["work"] == "cached"
    assert project.value(project.run()) == "another note2"


@pytest.mark.parametrize("uses", ["['libb']", "[Path('note.tx')]"])
def test_what_is_declared_and_not_there_is_refused(project: Project, uses: str) -> None:
    project.write(PIPELINE.format(uses=f"(uses={uses})"))
    with pytest.raises(InvalidInput) as caught:
        project.run()
    assert caught.value.code == "use-not-found"


def test_uses_is_a_list(project: Project) -> None:
    project.write(PIPELINE.format(uses="(uses='lib')"))
    with pytest.raises(InvalidInput) as caught:
        project.run()
    assert caught.value.code == "wrong-definition"


@pytest.mark.both_stores
def test_a_module_that_was_looked_up_is_computed_as_it_is_now(project: Project) -> None:
    """In a warm worker that has imported it before."""
    project.write(PIPELINE.format(uses="").replace("import_module(kind)", 'import_module("lib")'))
    assert project.value(project.run()) == "a note6"
    project.write("SIZE = 6\n", "beside.py")
    result = project.run()
    assert project.value(result) == "a note7"
    assert result.warnings == []
