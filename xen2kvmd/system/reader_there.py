# SPDX-License-Identifier: GPL-2.0-or-later
"""The program that reads a disk on its host: a shell, with what each Linux has: dd, cmp, sha256sum.

Where that host has a qemu-nbd of QEMU 4.1 or later, it reads the data: it needs no new process for
each block. The shell still looks for zeroes, which shall not cross the wire, and hashes. nbdkit is
not used: it reads a block device through the page cache, which may hold what it was while a guest
ran, for Xen's blkback writes past it; and hardly a Xen host has it.
"""

import secrets

from xen2kvmd.system.device_size import SIZE_OF_DEVICE

SILENCE = 600  # seconds without a sign of us, after which it ends: we may be stopped for a while

# bash, where it is, can end a loop that hears no more of us: `read` of dash has no time limit.
# It would read ~/.bashrc, which may print something: it takes ssh's child for a login.
BEST_SHELL = """
bash=$(command -v bash) && exec "$bash" --norc -c "$@"
exec sh -c "$@"
"""

# Answers a line with the disk's sizes and whether qemu-nbd serves it, then each request by a line,
# or by the word "data" and a block.
SCRIPT = (
    SIZE_OF_DEVICE
    + r"""
export LC_ALL=C
umask 077
silence=$1 folder=$2 quoted=$3 d=$4
for program in dd cmp stat sha256sum; do
  command -v $program >/dev/null || { echo "lacks $program"; exit; }
done
[ -e "$d" ] || { echo absent; exit; }
[ -r "$d" ] || { echo denied; exit; }
direct= driver=file cache=
if [ -b "$d" ]; then
  size=$(size_of_device "$d")
  [ -n "$size" ] || { echo sizeless; exit; }
  allocated=$size
  driver=host_device
  dd if="$d" bs=1048576 count=1 iflag=direct of=/dev/null 2>/dev/null &&
    direct=iflag=direct cache=,cache.direct=on
elif [ -f "$d" ]; then
  size=$(stat -Lc %s "$d")
  allocated=$(($(stat -Lc '%b * %B' "$d")))
else
  echo other; exit
fi
server=
end() { # the server, unless its number is another's by now; SIGTERM waits for whoever is connected
  [ -n "$server" ] || return
  grep -q "$folder" "/proc/$server/cmdline" && kill -9 "$server"
  rm -rf "$folder"
  server=
} 2>/dev/null
trap end EXIT
trap exit HUP INT TERM PIPE
serve() { # tell whether qemu-nbd serves the disk
  command -v qemu-nbd >/dev/null && mkdir "$folder" || return
  image=driver=raw$cache,file.driver=$driver,file.locking=off,file.filename=$quoted
  qemu-nbd --read-only --socket="$folder/socket" --pid-file="$folder/pid" \
    --image-opts "$image" </dev/null >/dev/null &
  server=$! tries=0
  until [ -s "$folder/pid" ]; do
    tries=$((tries + 1))
    [ "$tries" -lt 100 ] && kill -0 "$server" || { end; return 1; }
    sleep 0.1 || sleep 1
  done
} 2>/dev/null
serve && served=served || served=
echo "ready $size $allocated $served"
block() { dd if="$d" bs=1048576 skip="$1" count="${2:-1}" $direct 2>/dev/null; }
limit=
read -r -t 1 what </dev/null 2>/dev/null
[ $? != 1 ] || limit="-t $silence"
while read -r $limit what number size count; do
  case $what in
    read)
      if block "$number" | cmp -s -n "$size" - /dev/zero; then
        echo zero
      else
        echo data
        block "$number" || { echo "dd cannot read MiB $number of $d" >&2; exit; }
      fi ;;
    zeros) # how many bytes are, at least: "- /dev/zero differ: byte 5, line 1"
      if at=$(block "$number" "$count" | cmp -n "$size" - /dev/zero 2>/dev/null); then
        echo "$size"
      else
        at=${at%,*}
        at=${at##* }
        echo $((${at:-1} - 1))
      fi ;;
    hash) block "$number" | sha256sum ;;
    state) if [ -b "$d" ]; then echo; else stat -Lc '%Y %s' "$d"; fi ;;
  esac
done
"""
)


def folder() -> str:
    """Return a name for a folder of a socket there, which is made for one program."""
    return f"/tmp/xen2kvm-{secrets.token_hex(8)}"


def argv(path: str, folder: str) -> list[str]:
    """Return the program for a disk; qemu-nbd's socket, if any, is FOLDER/socket."""
    quoted = path.replace(",", ",,")  # qemu-nbd(8), --image-opts
    words = (str(SILENCE), folder, quoted, path)
    return ["sh", "-c", BEST_SHELL, "sh", SCRIPT, "sh", *words]
