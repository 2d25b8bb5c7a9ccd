"""The agent as one file: a zipapp of this very package, the same bytes for the same sources and Python.

Beside each source lies its bytecode, which halves the start-up where the hub's Python is the one that
built the file; zipimport passes over it in any other.
"""

from __future__ import annotations

import importlib.util
import marshal
import zipfile
from pathlib import Path

_EPOCH = (1980, 1, 1, 0, 0, 0)
_MAIN = b"import sys\n\nfrom harchos_infra.hub.agent import main\n\nsys.exit(main())\n"


def build_agent(path: Path) -> Path:
    """Write the zipapp to `path`, atomically, and return it. It needs Python 3.11+ and obstore."""
    package = Path(__file__).resolve().parent
    sources = {"__main__.py": _MAIN, "harchos_infra/__init__.py": b""}
    for source in sorted(package.glob("*.py")):
        sources[f"harchos_infra/hub/{source.name}"] = source.read_bytes()
    files = {**sources, **{f"{name}c": _bytecode(name, source) for name, source in sources.items()}}
    temporary = path.with_name(f".{path.name}.new")
    with zipfile.ZipFile(temporary, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    temporary.replace(path)
    return path


def _bytecode(name: str, source: bytes) -> bytes:
    """Return a hash-based .pyc that is not checked against its source: both come from the same file."""
    unchecked = (1).to_bytes(4, "little")
    code = compile(source, name, "exec", dont_inherit=True)
    return importlib.util.MAGIC_NUMBER + unchecked + importlib.util.source_hash(source) + marshal.dumps(code)
