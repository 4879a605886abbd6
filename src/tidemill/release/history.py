"""What ran where: the deployments of an environment, and what they say about what may go there next."""

from tidemill.core.errors import NotAllowed, NotFound
from tidemill.core.names import nearest
from tidemill.core.settings import EnvironmentSettings, Settings
from tidemill.store.catalog import records
from tidemill.store.open import Store

_SERVED = ("live", "retired")


def environment_settings(settings: Settings, environment: str) -> EnvironmentSettings:
    """The settings of an environment.

    Raises:
        NotFound: ``environment-not-found``.
    """
    if environment in settings.environments:
        return settings.environments[environment]
    close = nearest(environment, settings.environments)
    known = ", ".join(settings.environments)
    raise NotFound(
        f"There is no environment '{environment}'.",
        hint=f"Did you mean '{close}'?" if close else f"tidemill.toml has: {known}.",
        code="environment-not-found",
    )


def history(store: Store, environment: str) -> list[records.Deployment]:
    """Every deployment of an environment, newest first, failed ones too."""
    with store.catalog.read() as read:
        return read.find(records.Deployment, {"environment": environment}, order=("-started_at", "-id"))


def served(store: Store, environment: str) -> list[records.Deployment]:
    """The deployments of an environment that were live, newest first."""
    return [d for d in history(store, environment) if d.status in _SERVED]


def current(store: Store, environment: str) -> records.Deployment | None:
    """The deployment that is live in an environment; None before the first."""
    with store.catalog.read() as read:
        return read.first(
            records.Deployment, {"environment": environment, "status": "live"}, order=("-started_at", "-id")
        )


def previous(store: Store, environment: str) -> records.Deployment | None:
    """The deployment that a rollback goes back to; None where there is none.

    A deployment of the release that lies under the current one takes the current one off, any other goes on
    top. So two rollbacks go back two releases, not to and fro.
    """
    stack: list[records.Deployment] = []
    for deployment in reversed(served(store, environment)):
        if len(stack) > 1 and stack[-2].release_digest == deployment.release_digest:
            stack.pop()
        elif not stack or stack[-1].release_digest != deployment.release_digest:
            stack.append(deployment)
    return stack[-2] if len(stack) > 1 else None


def check_order(store: Store, settings: Settings, release: records.Release, environment: str) -> None:
    """Whether ``release`` has been live where it must have been before it may enter ``environment``.

    Raises:
        NotAllowed: ``promotion-order``, naming the command that comes first.
    """
    after = environment_settings(settings, environment).after
    if after is None:
        return
    environment_settings(settings, after)
    with store.catalog.read() as read:
        where = {"environment": after, "release_digest": release.digest, "status": list(_SERVED)}
        if read.first(records.Deployment, where) is not None:
            return
    raise NotAllowed(
        f"Release {release.number} of '{release.name}' cannot enter '{environment}' yet.",
        why=f"It must have been live in '{after}' first.",
        hint=f"Type 'tidemill promote {release.name}/{release.number} {after}'.",
        code="promotion-order",
        details={"release": release.number, "environment": environment, "after": after},
    )
