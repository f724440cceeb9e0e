#!/usr/bin/env bash
# Process 1 of a host of `bin/up --hosts`: makes the host's own folders, then waits. Everything ends with it.
# `unshare` starts it in the folder of the executables, with its own network, mounts, processes, hostname and IPC.
#   demo-host.sh NAME
# /run, /var/lib and /etc exist only in memory, so nothing stays on the machine's disk, whatever happens.
set -e

hostname "$1"
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/netns /run/lock /run/demo/bin /run/demo/etc /run/demo/cgroup /run/demo/plugins

# `.` and not its path, which a mount may have hidden by now.
mount --no-canonicalize --bind . /run/demo/bin
cd /
plugin=flatnet
[ ! -x /run/demo/bin/flatnet-cni ] || plugin=flatnet-cni
ln -s "/run/demo/bin/$plugin" /run/demo/plugins/flatnet

# sysfs shows the network of the process that mounts it.
mount --rbind /sys/fs/cgroup /run/demo/cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/demo/cgroup /sys/fs/cgroup
umount -l /run/demo/cgroup

# Podman keeps its locks there, in one file for all Podmans that see it.
mount -t tmpfs shm /dev/shm

# Links to the machine's files, except Flatnet's and Podman's own. No overlay, as overlays do not nest deeply.
mount --bind /etc /run/demo/etc
mount -t tmpfs -o mode=755 etc /etc
find /run/demo/etc -mindepth 1 -maxdepth 1 ! -name flatnet ! -name cni ! -name containers -exec ln -s -t /etc {} +
mkdir -p /etc/containers /etc/cni/net.d
find /run/demo/etc/containers -mindepth 1 -maxdepth 1 ! -name 'containers.conf*' ! -name storage.conf ! -name networks \
  -exec ln -s -t /etc/containers {} +

mount -t tmpfs -o mode=755 lib /var/lib
ip link set lo up
touch /run/demo/ready
# The shell stays as process 1, which has to reap orphans.
sleep infinity &
wait
