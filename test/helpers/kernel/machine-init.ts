/** What process 1 of a private machine does: mounts, then waits until the test ends it, or has died. */

/**
 * The machine's own system. Mounts first: overlays, so that no write reaches the real /etc or /var/lib, and a tmpfs
 * over /run and /dev/shm. It mounts sysfs again, which shows the network namespace of the process that mounts it.
 * Process 1 then waits in `read`. When the test's end of the pipe closes, the test has died without a teardown, and
 * process 1 cleans up in its place.
 */
export const INIT = `set -e
mount --make-rprivate /
mount -t tmpfs -o mode=755 run /run
mkdir -p /run/netns /run/lock /run/.cgroup
mount --rbind /sys/fs/cgroup /run/.cgroup
mount -t sysfs sysfs /sys
mount --rbind /run/.cgroup /sys/fs/cgroup
umount -l /run/.cgroup
rmdir /run/.cgroup
mount -t tmpfs shm /dev/shm
# Debian's place for plugins is where bin/up and install put ours, for all machines that run at once.
for d in etc var/lib opt usr/local usr/lib/cni; do
  [ -d "/$d" ] || continue
  mkdir -p "$DISK/over/$d/up" "$DISK/over/$d/work"
  mount -t overlay -o "lowerdir=/$d,upperdir=$DISK/over/$d/up,workdir=$DISK/over/$d/work" over "/$d"
done
# Podman's storage is an overlay too, and an overlay is no upper layer of another.
mkdir -p "$DISK/containers" /var/lib/containers
mount --bind "$DISK/containers" /var/lib/containers
mount --bind "$DISK/boot_id" /proc/sys/kernel/random/boot_id
ip link set lo up
echo ready
read -r _ || true
kill -9 -1
umount -l /var/lib/containers $(grep -o " $DISK/[^ ]*" /proc/mounts | sort -r) 2>/dev/null || true
rm -rf "$DISK"
`

/**
 * Another system, whose files are in SYSTEM: an overlay over them becomes the root. Podman refuses a plain chroot, as
 * containers pivot their root too. The disk and this repository (read-only) are where they are outside.
 * crun asks for something at /sys/fs/cgroup; an empty cgroup2 is enough. Process 1 keeps /tmp of outside as its
 * working directory, so that it can clean up.
 */
export const SYSTEM_INIT = `set -e
mount --make-rprivate /
mkdir -p "$DISK/over/up" "$DISK/over/work" "$DISK/containers" "$DISK/root"
mount -t overlay -o "lowerdir=$SYSTEM,upperdir=$DISK/over/up,workdir=$DISK/over/work" over "$DISK/root"
root=$DISK/root
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t cgroup2 none "$root/sys/fs/cgroup"
mount --rbind /dev "$root/dev"
mount -t tmpfs shm "$root/dev/shm"
mount -t tmpfs -o mode=755 run "$root/run"
mount -t tmpfs -o mode=1777 tmp "$root/tmp"
mkdir -p "$root/run/netns" "$root/run/lock" "$root/var/lib/containers" "$root$DISK" "$root$REPOSITORY"
mount --bind "$DISK" "$root$DISK"
mount --bind "$DISK/containers" "$root/var/lib/containers"
mount --bind -o ro "$REPOSITORY" "$root$REPOSITORY"
mount --bind "$DISK/boot_id" "$root/proc/sys/kernel/random/boot_id"
cp /etc/resolv.conf "$root/etc/resolv.conf"
cd "$(dirname "$DISK")"
pivot_root "$root" "$root/mnt"
umount -l /mnt
ip link set lo up
echo ready
read -r _ || true
kill -9 -1
umount -l /var/lib/containers $(grep -o " $DISK/[^ ]*" /proc/mounts | sort -r) 2>/dev/null || true
rm -rf "./$(basename "$DISK")"
`
