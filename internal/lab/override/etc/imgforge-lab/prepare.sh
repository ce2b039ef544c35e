#!/bin/sh
# What a node's own kernel would give, on a kernel that it shares.
set -eu

# The kubelet compares these with what it needs; they are the machine's, not the node's.
mkdir -p /run/imgforge-lab
while read -r name value; do
	file=/run/imgforge-lab/$(echo "$name" | tr / _)
	echo "$value" >"$file"
	mount --bind "$file" "/proc/sys/$name"
done <<'END'
kernel/keys/root_maxbytes 25000000
kernel/keys/root_maxkeys 1000000
kernel/panic 10
kernel/panic_on_oops 1
vm/overcommit_memory 1
vm/panic_on_oom 0
END

# The container runtime makes cgroups below the node's own.
for hierarchy in /sys/fs/cgroup/*/; do
	case $hierarchy in
	*/systemd/ | */unified/) continue ;;
	esac
	mount -o remount,bind,rw "$hierarchy"
done

# Mounts of pods spread from here.
mount --make-shared /var/lib/kubelet
