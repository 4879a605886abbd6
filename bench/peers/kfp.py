"""Kubeflow Pipelines on this machine: each step is a process of its own, its outputs are files; with its local cache.

Told that kfp is installed already: unless it is, every step begins with pip.
"""

from kfp import dsl, local


@dsl.component(install_kfp_package=False)
def add(x: int) -> int:
    from helper import more

    return more(x)


def chain(steps: int, start: int) -> int:
    local.init(runner=local.SubprocessRunner(use_venv=False), enable_caching=True)

    @dsl.pipeline
    def added(start: int) -> int:
        x = start
        for _ in range(steps):
            x = add(x=x).output
        return x

    return added(start=start).output
