#!/usr/bin/env bash
# Builds the virtual machine of the boot test (tests/integration/test_boot.py): a Debian bookworm with cloud-init and
# Python, its kernel, and a disk image. Run as root on Debian or Ubuntu; packages come from apt's own mirror.
# What it makes lies in $HARCHOS_VM_CACHE (default ~/.cache/harchos-vm) and is made again only when this script changes.
set -euo pipefail
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
cache="${HARCHOS_VM_CACHE:-$HOME/.cache/harchos-vm}"
recipe="$(sha256sum "$0" | cut -d' ' -f1)"
tools=(qemu-system-x86_64 mmdebstrap genisoimage socat mkfs.ext4)

if [ "$(command -v "${tools[@]}" | wc -l)" -ne "${#tools[@]}" ]; then
  command -v apt-get >/dev/null || { echo "error: no apt-get here; install ${tools[*]} by hand" >&2; exit 1; }
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends qemu-system-x86 mmdebstrap genisoimage socat e2fsprogs >/dev/null
fi
if [ "$(cat "$cache/recipe" 2>/dev/null)" = "$recipe" ]; then
  echo "$cache holds the machine already"
  exit 0
fi

mkdir -p "$cache"
work="$(mktemp -d "$cache/.making.XXXXXX")"
trap 'rm -rf "$work"' EXIT
root="$work/root"

sources() { cat /etc/apt/sources.list /etc/apt/sources.list.d/debian.sources 2>/dev/null || true; }
packages=systemd-sysv,udev,dbus,kmod,ca-certificates,iproute2,netbase,cloud-init,python3,openssh-server
# apt's own settings of this machine (a proxy, say) hold for the new root while it is made.
apt-config dump | grep '^Acquire::' > "$work/apt.conf" || true
sources | mmdebstrap --quiet --variant=minbase --mode=root --include="$packages" \
  --aptopt="$work/apt.conf" --aptopt='APT::Install-Recommends "false"' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  bookworm "$root" -

chroot "$root" systemctl -q enable systemd-networkd systemd-networkd-wait-online
chroot "$root" systemctl -q mask apt-daily.timer apt-daily-upgrade.timer e2scrub_all.timer e2scrub_reap.service \
  fstrim.timer getty@tty1.service serial-getty@ttyS0.service
: > "$root/etc/machine-id"
# The guest's network ends at the host: names are refused at once, not waited for. Google's images name this one.
echo "nameserver 127.0.0.1" > "$root/etc/resolv.conf"
echo "169.254.169.254 metadata.google.internal" >> "$root/etc/hosts"
echo "LABEL=root / ext4 defaults 0 1" > "$root/etc/fstab"
# The modules that a hub's user-data uses, and no others: all of them take 20 s longer here.
cat > "$root/etc/cloud/cloud.cfg.d/90-boot-test.cfg" <<'CFG'
system_info:
  network: {renderers: [networkd]}
cloud_init_modules: [bootcmd, write-files]
cloud_config_modules: [runcmd]
cloud_final_modules: [scripts-user]
CFG

# The kernel runs without an initrd: NVMe and ext4 are built in, the few modules below are all that is loaded.
kernel="$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/.*Depends: \(linux-image-[^ ]*\)$/\1/p' | head -1)"
[ -n "$kernel" ] || { echo "error: apt knows no linux-image-cloud-amd64; is this amd64, and did apt-get update run?" >&2; exit 1; }
(cd "$work" && apt-get download -qq -o APT::Sandbox::User=root "$kernel" && dpkg -x "$kernel"_*.deb "$work/kernel")
version="${kernel#linux-image-}"
modules="$root/lib/modules/$version"
mkdir -p "$modules"
cp "$work/kernel/lib/modules/$version"/modules.{builtin,builtin.modinfo,order} "$modules"
(cd "$work/kernel/lib/modules/$version" && find kernel \( -name 'virtio*.ko' -o -name '*failover.ko' -o -name isofs.ko \
  -o -name cdrom.ko -o -name '*fat.ko' -o -name 'nls_*.ko' \) -exec cp --parents -t "$modules" {} +)
chroot "$root" depmod "$version"

mkfs.ext4 -q -F -L root -m 0 -O ^has_journal -d "$root" "$work/root.img" 800M
cp "$work/kernel/boot/vmlinuz-$version" "$work/vmlinuz"
rm -rf "$cache/root" "$cache/recipe"
mv "$root" "$cache/root"
mv "$work/root.img" "$work/vmlinuz" "$cache"
echo "$recipe" > "$cache/recipe"
du -sh "$cache" | sed 's/\t/ in /'
