#!/bin/sh
# Applies a payload to a copy of this machine's root that exists only in the
# namespaces of this process, and prints what changed in it.
#
# usage: unshare --mount --net --uts --ipc --pid --fork sh apply.sh ENGINE DIR
#
# ENGINE is the path of ignition, or the word cloud-init. DIR holds
#   payload          what to apply
#   base/            laid over the machine's root first
#   public/          served on http://127.0.0.1:8080
#   systemctl        put in the way of the real one, for cloud-init
#   cloud.cfg        cloud-init's own configuration
#   between.sh       optional: run in the copy before cloud-init runs again
# What the engine says goes to stderr.
set -eu
umask 022
engine=$1 dir=$2

mount --make-rprivate /
mount -t tmpfs tmpfs "$dir/layers"
mkdir "$dir/layers/upper" "$dir/layers/work" "$dir/root"
cp -a "$dir/base" "$dir/layers/base" # layers must not lie inside one another
mkdir -p "$dir/layers/base/var/lib/cloud"
mount -t overlay overlay -o "lowerdir=$dir/layers/base:/,upperdir=$dir/layers/upper,workdir=$dir/layers/work" "$dir/root"
root=$dir/root
for t in run tmp var/log var/lib/cloud dev; do mount -t tmpfs tmpfs "$root/$t"; done
mount -t proc proc "$root/proc"
for n in null:3 zero:5 random:8 urandom:9; do mknod -m 666 "$root/dev/${n%:*}" c 1 "${n#*:}"; done
ip link set lo up
python3 -m http.server --bind 127.0.0.1 --directory "$dir/public" 8080 >&2 &
python3 - <<'WAIT'
import socket, time
for _ in range(500):
    try:
        socket.create_connection(("127.0.0.1", 8080)).close()
        break
    except OSError:
        time.sleep(0.02)
WAIT

boot() {
  for stage in "init --local" init "modules --mode=config" "modules --mode=final"; do
    chroot "$root" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 \
      PYTHONDONTWRITEBYTECODE=1 cloud-init $stage >>"$dir/cloud-init-output" 2>&1 || true # see complaints
  done
}

case $engine in
cloud-init)
  mkdir -p "$root/var/lib/cloud/seed/nocloud" "$dir/etc-cloud"
  cp "$dir/payload" "$root/var/lib/cloud/seed/nocloud/user-data"
  printf 'instance-id: i-1\nlocal-hostname: from-metadata\n' >"$root/var/lib/cloud/seed/nocloud/meta-data"
  cp "$dir/cloud.cfg" "$dir/etc-cloud/cloud.cfg"
  mount --bind "$dir/etc-cloud" "$root/etc/cloud"
  mount -t tmpfs tmpfs "$root/usr/local/sbin"
  install -m 0755 "$dir/systemctl" "$root/usr/local/sbin/systemctl"
  boot
  if [ -e "$dir/between.sh" ]; then
    chroot "$root" sh -eu <"$dir/between.sh"
    boot
  fi
  grep -vE '\[(DEBUG|INFO)\]' "$root/var/log/cloud-init.log" >"$dir/complaints" || true
  cp "$root/run/systemctl.log" "$dir/systemctl.log" 2>/dev/null || true
  ;;
*)
  export IGNITION_CONFIG_FILE="$dir/payload"
  for stage in fetch files; do
    "$engine" --root "$root" --platform file --config-cache "$dir/cache" --state-file "$dir/state" \
      --neednet "$dir/neednet" --log-to-stdout --stage $stage >&2
  done
  ;;
esac

cd "$dir/layers/upper"
find . -mindepth 1 \( -type d -printf 'd %#m %U:%G %p\n' \) -o \( -type l -printf 'l %U:%G %p -> %l\n' \) -o \
  \( -type c -printf 'deleted %p\n' \)
find . -type f -printf '%#m %U:%G\n' -exec sha256sum {} \; | paste - - | sed 's/^/f /'
