#!/bin/bash
# First process of a machine, in namespaces of its own: lays a node's tree over
# the root of this system and stays there until it is killed.
# machine.sh SCRATCH TREE NAME PROGRAMS
set -euo pipefail
scratch=$1 tree=$2 name=$3 programs=$4

mount --make-rprivate /
# The upper layer lies on a file system of its own, as overlayfs wants it, and
# holds the tree with what the node writes; it ends with this process.
mount -t tmpfs -o mode=0755 tmpfs "$scratch"
mkdir "$scratch/upper" "$scratch/work" "$scratch/root"
cp -a "$tree/." "$scratch/upper"
mount -t overlay -o "lowerdir=/,upperdir=$scratch/upper,workdir=$scratch/work" overlay "$scratch/root"
cd "$scratch/root"
mount -t proc proc proc
mount -t sysfs sysfs sys
# Devices are this system's; what programs leave beside them, such as keepalived's
# numbers of processes, is not.
mount -t tmpfs -o mode=0755 tmpfs dev
mkdir dev/net dev/shm
for device in null zero full random urandom tty net/tun; do
	[ -e "/dev/$device" ] || continue
	touch "dev/$device"
	mount --bind "/dev/$device" "dev/$device"
done
ln -s /proc/self/fd dev/fd
for n in 0:stdin 1:stdout 2:stderr; do ln -s "/proc/self/fd/${n%%:*}" "dev/${n##*:}"; done
for dir in run tmp; do mount -t tmpfs -o mode=0755 tmpfs "$dir"; done
mkdir -p opt/programs
mount --bind "$programs" opt/programs
hostname "$name"
ip link set lo up
exec chroot . sh -c 'echo ready; exec sleep infinity'
