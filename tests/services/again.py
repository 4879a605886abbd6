"""The same store once more, in another process of a test."""

import json
from pathlib import Path

from tidemill.store.open import Store


def how_to_open(store: Store) -> str:
    """What another process must be told; the secrets are in its environment."""
    return json.dumps([store.address, str(store.folder), store._catalog])


def opened_again(how: str) -> Store:
    """The store that ``how_to_open`` told of."""
    address, folder, catalog = json.loads(how)
    return Store.open(address, local=Path(folder), catalog=catalog)
