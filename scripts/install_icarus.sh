#!/bin/sh
# Install Icarus Verilog through the system's package manager where that needs nobody's password.
# Never fails: without Icarus its tests are skipped, and this says so.
set -u
command -v iverilog >/dev/null && exit 0

if [ "$(id -u)" = 0 ]; then
    root=""
elif sudo -n true 2>/dev/null; then
    root="sudo -n"
else
    root="none"
fi

attempt() {
    echo "Installing Icarus Verilog: $*" >&2
    timeout 300 "$@" >/dev/null 2>&1
}

if [ "$root" != none ] && command -v apt-get >/dev/null; then
    attempt $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends iverilog || {
        attempt $root apt-get update
        attempt $root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends iverilog
    }
elif [ "$root" != none ] && command -v dnf >/dev/null; then
    attempt $root dnf install -y iverilog
elif [ "$root" != none ] && command -v pacman >/dev/null; then
    attempt $root pacman -S --noconfirm iverilog
elif command -v brew >/dev/null; then
    attempt brew install icarus-verilog
fi

command -v iverilog >/dev/null || cat >&2 <<'TEXT'
NOTE: Icarus Verilog is not installed, so every test that needs it will be SKIPPED.
      Install it with one of: apt-get install iverilog | dnf install iverilog | pacman -S iverilog | brew install icarus-verilog
TEXT
exit 0
