"""Fetches the archive of a data set into the folder of archives."""

import os
import tempfile
from pathlib import Path

from jdl.data.clients import bring
from jdl.data.registry import find
from jdl.data.store import archives, check, locate, require, sha256


def fetch(name: str) -> Path:
    """Fetches the archive of a data set unless it is already here and whole.

    Args:
      name: such as `"mnist"`.

    Returns:
      The archive's path, its SHA-256 verified.

    Raises:
      DataError: there is no such data set, the client is missing or failed, or it brought
        other bytes than expected. Whatever was there before is then left as it was.

    Example:
      >>> fetch("digits").name
      'digits.npz'
    """
    source = find(name)
    here = locate(source)
    if source.registry == "embedded":
        return check(source, require(source))
    if here is not None and sha256(here) == source.sha256:
        return here
    archives().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=archives()) as folder:
        brought = check(source, bring(source, Path(folder)))
        target = archives() / brought.name
        os.replace(brought, target)
    return target
