# SPDX-License-Identifier: GPL-2.0-or-later
"""Asking another host whether a QEMU has a file open: shell, for a script that runs there.

An image is opened for writing, and nobody else may have it open for writing either: QEMU's locks
(block/file-posix.c) forbid the one or the other while a QEMU has it. Nothing is written. qemu-io,
which comes with qemu-nbd, does it through blkdebug, which alone can forbid what raw allows: two
writers. Before QEMU 4.2, or where QEMU was built without that driver, a writer of raw that allows
others goes unseen.
"""

# Arguments: a path, and the same with each comma doubled. Prints nothing, or why it is refused.
FUNCTIONS = r"""
refusal() {
  driver=file
  [ ! -b "$1" ] || driver=host_device
  strict=driver=blkdebug,unshare-child-perms.0=write,image.driver=$driver
  said=$(LC_ALL=C qemu-io -c quit --image-opts "$strict,image.filename=$2" 2>&1) && return
  case $said in
  *blkdebug*) said=$(LC_ALL=C qemu-io -c quit -f raw "$1" 2>&1) && return ;;
  esac
  printf '%s' "$said" | tr '\n' ' '
}
is_lock() { case $1 in *"Failed to get"*lock*) ;; *) return 1 ;; esac; }
"""


def arguments(path: str) -> tuple[str, str]:
    """Return what refusal takes."""
    return path, path.replace(",", ",,")
