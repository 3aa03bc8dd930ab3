# SPDX-License-Identifier: GPL-2.0-or-later
"""How a shell of another host tells the size of a block device, however old its kernel is."""

# /sys/dev is there since Linux 2.6.27: RHEL 5 has 2.6.18, and blockdev, which one without
# util-linux has not. /proc/partitions counts in KiB.
SIZE_OF_DEVICE = r"""
size_of_device() { # print the bytes of a device, or nothing
  number=$((0x$(stat -Lc %t "$1"))):$((0x$(stat -Lc %T "$1")))
  if read -r sectors <"/sys/dev/block/$number/size"; then
    echo $((sectors * 512))
  else
    PATH=$PATH:/usr/sbin:/sbin blockdev --getsize64 "$1" ||
      while read -r major minor blocks name; do
        [ "$major:$minor" = "$number" ] && echo $((blocks * 1024))
      done </proc/partitions
  fi 2>/dev/null
}
"""
