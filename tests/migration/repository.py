# SPDX-License-Identifier: GPL-2.0-or-later
"""Real packages of Debian for guests: as files, and as a repository served by HTTP."""

import hashlib
import shutil
import subprocess
from pathlib import Path

# The guest is built without these; the agent needs them (Depends of Debian 12's package).
AGENT = ("qemu-guest-agent", "libglib2.0-0", "liburing2", "libnuma1", "libffi8")


def kernel() -> str:
    """Return the name of the package of Debian's smallest kernel that has virtio drivers."""
    said = _run("apt-cache", "depends", "linux-image-cloud-amd64")
    return next(line.split()[1] for line in said.splitlines() if "Depends: linux-image-" in line)


def download(folder: Path, *names: str) -> Path:
    """Download packages of this machine's apt sources into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    _run("apt-get", "--quiet", "-o", "APT::Sandbox::User=root", "download", *names, at=folder)
    return folder


def metapackage(folder: Path, name: str, needs: str) -> None:
    """Build a package that only needs another, as linux-image-amd64 does."""
    tree = folder / name
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: 99\nArchitecture: amd64\nDepends: {needs}\n"
        "Maintainer: xen2kvm tests <root@localhost>\nDescription: needs another package\n"
    )
    _run("dpkg-deb", "--build", "--root-owner-group", str(tree), str(folder))
    shutil.rmtree(tree)


def index(folder: Path) -> None:
    """Make a folder of packages a repository without distributions: "deb URI ./"."""
    entries = [_entry(path) for path in sorted(folder.glob("*.deb"))]
    (folder / "Packages").write_text("\n".join(entries))


def _entry(path: Path) -> str:
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    control = _run("dpkg-deb", "--field", str(path))
    return f"{control}Filename: ./{path.name}\nSize: {path.stat().st_size}\nSHA256: {digest}\n"


def _run(*command: str, at: Path | None = None) -> str:
    done = subprocess.run(command, cwd=at, capture_output=True, text=True, check=True)
    return done.stdout
