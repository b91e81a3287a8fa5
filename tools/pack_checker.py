"""Pack checker/ into one zipapp: python tools/pack_checker.py [OUTPUT].

The same sources give the same bytes: files in sorted order, stored without compression, every timestamp 1980-01-01.
"""

import hashlib
import sys
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MAIN = """import sys

if sys.version_info < (3, 11):
    sys.stderr.write("check-cert.pyz needs Python 3.11 or newer\\n")
    sys.exit(70)

from checker.cli import main

sys.exit(main())
"""


def pack(output: Path) -> str:
    """Write the archive; returns its SHA-256."""
    files = {path.relative_to(ROOT).as_posix(): path.read_bytes() for path in (ROOT / "checker").rglob("*.py")}
    files["__main__.py"] = MAIN.encode()
    with zipfile.ZipFile(output, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # dated 1980-01-01
            entry.create_system, entry.external_attr = 3, 0o100644 << 16  # the same on every platform
            archive.writestr(entry, files[name])
    return hashlib.sha256(output.read_bytes()).hexdigest()


if __name__ == "__main__":
    target = Path(sys.argv[1] if len(sys.argv) > 1 else "check-cert.pyz")
    print(f"{target}: sha256:{pack(target)}")
