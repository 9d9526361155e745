"""The units of deploy/systemd: as systemd reads them, and under a systemd that boots for the test."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import BINARY, ROOT, run

UNITS = ROOT / "deploy/systemd"

# Boots systemd as the first process of a namespace, over a copy of the machine's files that is
# gone afterwards. It runs SCRIPT beside the units, then powers off.
BOOT = r"""
set -eu
work=$1 units=$2 program=$3
mkdir -p "$work/layers"
mount -t tmpfs tmpfs "$work/layers"
mkdir "$work/layers/upper" "$work/layers/work" "$work/layers/root"
root=$work/layers/root
mount -t overlay overlay -o "lowerdir=/,upperdir=$work/layers/upper,workdir=$work/layers/work" "$root"
mkdir -p "$root/mnt/out"
mount --bind "$work" "$root/mnt/out"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
for folder in run tmp; do mount -t tmpfs tmpfs "$root/$folder"; done
find "$root/etc/systemd/system" -mindepth 1 -delete
cp "$units"/* "$root/etc/systemd/system/"
install -m 0755 "$program" "$root/usr/local/bin/docker-socket-proxy"
printf 'LISTEN=fd://\nPOLICY=read-only\n' > "$root/etc/default/docker-socket-proxy"
cat > "$root/etc/systemd/system/proof.target" <<-END
	[Unit]
	Requires=sysinit.target
	Wants=proof.service
	AllowIsolate=yes
END
cat > "$root/etc/systemd/system/proof.service" <<-END
	[Service]
	Type=oneshot
	ExecStart=/bin/sh /mnt/out/script
	ExecStopPost=/bin/systemctl poweroff --force --force
END
mkdir "$root/mnt/old"
cd "$root"
pivot_root . mnt/old
umount -l /mnt/old
exec env -i container=docker PATH=/usr/sbin:/usr/bin:/sbin:/bin /lib/systemd/systemd --system --unit=proof.target --log-target=null --show-status=no
"""


def boot(folder: Path, script: str) -> dict[str, str]:
    """What the script wrote into files below /mnt/out, by their names."""
    (folder / "script").write_text(script)
    (folder / "boot").write_text(BOOT)
    command = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc", "--cgroup",
               "--propagation", "private", "sh", folder / "boot", folder, UNITS, BINARY]
    result = run(*command, timeout=120)
    files = {path.name: path.read_text() for path in folder.iterdir() if path.is_file()}
    assert "done" in files, result.stderr + result.stdout + str(files)
    return files


def unit(name: str, tmp_path: Path) -> Path:
    """A unit whose program is there."""
    copy = tmp_path / name
    copy.write_text((UNITS / name).read_text().replace("/usr/local/bin/docker-socket-proxy", str(BINARY)))
    return copy


def test_systemd_finds_no_fault(tmp_path: Path) -> None:
    files = [unit(path.name, tmp_path) for path in sorted(UNITS.iterdir())]
    assert len(files) == 2
    result = run("systemd-analyze", "verify", "--man=no", *files)
    complaints = [line for line in (result.stdout + result.stderr).splitlines() if str(tmp_path) in line or "docker-socket-proxy" in line]
    assert result.returncode == 0 and complaints == [], result.stderr


def test_nothing_is_open_that_can_be_closed(tmp_path: Path) -> None:
    """systemd's own measure, from 0 to 10: an ordinary service has 9.6."""
    result = run("systemd-analyze", "security", "--offline=true", unit("docker-socket-proxy.service", tmp_path))
    level = re.search(r"Overall exposure level for \S+: (\d+\.\d)", result.stdout)
    assert level and float(level[1]) <= 1.5, result.stdout + result.stderr


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="booting needs root")
def test_under_systemd(tmp_path: Path) -> None:
    """The socket starts the service, which systemd knows to serve; a restart loses no client; a thread
    that hangs is noticed; the socket's file outlives the service and goes with the socket."""
    files = boot(tmp_path, r"""
cd /mnt/out
socket=/run/docker-socket-proxy.sock
ask() { path=$1; shift; curl -s -m 30 --unix-socket $socket "$@" "http://docker/$path"; }
show() { systemctl show docker-socket-proxy.service --property="$1" --value; }
mkdir -p /run/systemd/system/docker-socket-proxy.service.d
printf '[Service]\nWatchdogSec=1\n' > /run/systemd/system/docker-socket-proxy.service.d/short.conf
getent group docker > /dev/null || groupadd -r docker
systemctl daemon-reload
systemctl start docker-socket-proxy.socket
stat -c '%a %G' $socket > mode
show ActiveState > before
ask version > first
{ show ActiveState; show Type; show StatusText; } > state
systemctl restart docker-socket-proxy.service & ask version > during; wait
ask v1.41/containers/create -X POST -H 'Content-Type: application/json' -d '{}' > denied
pid=$(show MainPID)
cat /proc/$pid/status > status
kill -STOP $pid
n=0
while [ "$(show MainPID)" = "$pid" ] || [ "$(show ActiveState)" != active ]; do
	n=$((n + 1)); [ $n -lt 300 ] || break; sleep 0.1
done
{ show NRestarts; show ActiveState; } > watchdog
ask version > after
systemctl stop docker-socket-proxy.service
test -S $socket && echo stays > file
systemctl stop docker-socket-proxy.socket
test -e $socket || echo gone >> file
echo done > done
""")
    assert files["mode"] == "660 docker\n"
    assert files["before"] == "inactive\n"
    for name in ("first", "during", "after"):
        assert "cannot open /var/run/docker.sock" in files[name], f"{name}: the proxy served it"
    active, kind, text = files["state"].splitlines()
    assert (active, kind) == ("active", "notify")
    assert re.fullmatch(r"\d+ of at most \d+ connections, 1 listener, \d+ workers?", text)
    assert "container.create" in files["denied"]
    assert "CapEff:\t0000000000000000" in files["status"] and "NoNewPrivs:\t1" in files["status"]
    assert files["watchdog"] == "1\nactive\n"
    assert files["file"] == "stays\ngone\n"
    assert subprocess.run(["pgrep", "-f", str(tmp_path)], check=False, capture_output=True).returncode == 1


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="booting needs root")
def test_the_audit_record_of_the_service(tmp_path: Path) -> None:
    """docs/audit.md: AUDIT in /var/log/docker-socket-proxy needs no preparation; nobody but root reads it; the block for
    logrotate works; the next start goes on with the file. Elsewhere, the start says why not."""
    page = (ROOT / "docs/audit.md").read_text()
    (tmp_path / "logrotate.conf").write_text(re.search(r"```\n(/var/log/docker-socket-proxy/audit\.jsonl \{\n.*?\n\})\n```", page, re.DOTALL)[1] + "\n")
    files = boot(tmp_path, r"""
cd /mnt/out
log=/var/log/docker-socket-proxy/audit.jsonl
ask() { curl -s -m 30 --unix-socket /run/docker-socket-proxy.sock -o /dev/null "http://docker/$1"; }
lines() { n=0; while [ ! -s "$1" ] || [ "$(wc -l < "$1")" -lt "$2" ]; do n=$((n + 1)); [ $n -lt 100 ] || break; sleep 0.1; done; }
install -m 0644 logrotate.conf /etc/docker-audit.conf
rm -rf /var/log/docker-socket-proxy /var/log/private
printf 'AUDIT=%s\n' $log >> /etc/default/docker-socket-proxy
getent group docker > /dev/null || groupadd -r docker
systemctl daemon-reload
systemctl start docker-socket-proxy.socket
ask containers/one/json; lines $log 1
{ stat -L -c '%a' $log; readlink /var/log/docker-socket-proxy; stat -c '%a %U' /var/log/private; } > modes
logrotate --force --state /run/rotated /etc/docker-audit.conf 2> rotation
ask containers/two/json; lines $log 1
systemctl restart docker-socket-proxy.service
ask containers/three/json; lines $log 2
cat $log.1 $log > records
systemctl stop docker-socket-proxy.service docker-socket-proxy.socket
printf 'AUDIT=/var/lib/audit.jsonl\n' >> /etc/default/docker-socket-proxy
systemctl start docker-socket-proxy.service 2> /dev/null; echo $? > elsewhere
echo done > done
""")
    assert files["modes"] == "600\nprivate/docker-socket-proxy\n700 root\n"
    assert files["rotation"] == ""
    assert [json.loads(line)["target"] for line in files["records"].splitlines()] == ["one", "two", "three"]
    assert files["elsewhere"] == "1\n"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="booting needs root")
def test_who_reads_the_audit_record_of_a_package(tmp_path: Path) -> None:
    """Root and the user of the service, rotated or not; members of its group with the settings of docs/audit.md alone."""
    for name in ("service.conf", "sysusers.conf", "logrotate"):
        shutil.copy(ROOT / "deploy/package" / name, tmp_path)
    (tmp_path / "readers.conf").write_text(re.search(r"```ini\n(\[Service\]\nLogsDirectoryMode=.*?)```", (ROOT / "docs/audit.md").read_text(), re.DOTALL)[1])
    files = boot(tmp_path, r"""
cd /mnt/out
folder=/var/log/docker-socket-proxy
drop=/etc/systemd/system/docker-socket-proxy.service.d
ask() { curl -s -m 30 --unix-socket /run/docker-socket-proxy.sock -o /dev/null "http://docker/$1"; }
lines() { n=0; while [ ! -s "$1" ] || [ "$(wc -l < "$1")" -lt "$2" ]; do n=$((n + 1)); [ $n -lt 100 ] || break; sleep 0.1; done; }
member() { setpriv --reuid=nobody --regid=nogroup --groups="$(getent group docker-socket-proxy | cut -d: -f3)" "$@" > /dev/null 2>&1; }
modes() { stat -c '%a %U %G' $folder $folder/*; }
rm -rf $folder /var/log/private
systemd-sysusers /mnt/out/sysusers.conf
mkdir -p $drop
cp service.conf $drop/10-package.conf
printf 'AUDIT=%s\n' $folder/audit.jsonl >> /etc/default/docker-socket-proxy
systemctl daemon-reload
systemctl start docker-socket-proxy.socket
ask containers/one/json; lines $folder/audit.jsonl 1
modes > first
cat $folder/audit.jsonl > record
member ls $folder && echo lists >> strangers
member cat $folder/audit.jsonl && echo reads >> strangers
install -m 0644 logrotate /etc/package-rotation
logrotate --force --state /run/rotated /etc/package-rotation 2> rotation
ask containers/two/json; lines $folder/audit.jsonl 1
logrotate --force --state /run/rotated /etc/package-rotation 2>> rotation
ask containers/three/json; lines $folder/audit.jsonl 1
modes > rotated
cp readers.conf $drop/readers.conf
systemctl daemon-reload
systemctl restart docker-socket-proxy.service
logrotate --force --state /run/rotated /etc/package-rotation 2>> rotation
ask containers/four/json; lines $folder/audit.jsonl 1
stat -c '%a %U %G' $folder $folder/audit.jsonl > readers
member cat $folder/audit.jsonl && echo reads > member
setpriv --reuid=nobody --regid=nogroup --clear-groups cat $folder/audit.jsonl > /dev/null 2>&1 && echo reads >> member
touch strangers
echo done > done
""")
    user = "docker-socket-proxy docker-socket-proxy"
    assert files["first"] == f"700 {user}\n600 {user}\n"
    assert json.loads(files["record"])["target"] == "one" and files["strangers"] == ""
    assert files["rotation"] == ""
    assert files["rotated"] == f"700 {user}\n" + f"600 {user}\n" * 3
    assert files["readers"] == f"750 {user}\n640 {user}\n" and files["member"] == "reads\n"


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="booting needs root")
def test_a_reload_upgrades(tmp_path: Path) -> None:
    """The settings of docs/hand-over.md: `systemctl reload` changes the main process while clients ask without a
    pause; a stream stays with the former one, which systemd does not miss; the watchdog goes on; a reload that
    cannot work fails, and changes nothing; a stop lets the main process end."""
    document = (ROOT / "docs/hand-over.md").read_text()
    (tmp_path / "hand-over.conf").write_text(re.search(r"```ini\n(.*?)```", document, re.DOTALL)[1])
    (tmp_path / "slow.py").write_text("""import socket, time
client = socket.socket(socket.AF_UNIX)
client.connect("/run/docker-socket-proxy.sock")
client.sendall(b"GET /version HTTP/1.1\\r\\nHost: docker\\r\\nX-Slow: ")
time.sleep(6)
client.sendall(b"yes\\r\\n\\r\\n")
print(client.recv(4096).decode())
""")
    files = boot(tmp_path, r"""
cd /mnt/out
ask() { curl -s -m 30 --unix-socket /run/docker-socket-proxy.sock "$@" http://docker/version; }
show() { systemctl show docker-socket-proxy.service --property="$1" --value; }
mkdir -p /etc/systemd/system/docker-socket-proxy.service.d
cp hand-over.conf /etc/systemd/system/docker-socket-proxy.service.d/
printf '[Service]\nWatchdogSec=2\n' > /etc/systemd/system/docker-socket-proxy.service.d/short.conf
getent group docker > /dev/null || groupadd -r docker
systemctl daemon-reload
systemctl start docker-socket-proxy.socket
ask > first
one=$(show MainPID)
python3 slow.py > slow &
( while [ ! -e over ]; do ask -o /dev/null -w '%{http_code}\n' || echo failed; done > asked ) &
sleep 0.5
printf 'POLICY=deny\n' >> /etc/default/docker-socket-proxy
systemctl reload docker-socket-proxy.service; echo $? > reload
two=$(show MainPID)
{ [ "$one" != "$two" ] && echo another; readlink /proc/$two/exe; show ActiveState; show NRestarts; } > main
ask > second
printf 'POLICY=no-such-policy\n' >> /etc/default/docker-socket-proxy
systemctl reload docker-socket-proxy.service 2> /dev/null; echo $? > failed
[ "$(show MainPID)" = "$two" ] && echo same > same
sleep 5
{ [ "$(show MainPID)" = "$two" ] && echo lives; show ActiveState; show NRestarts; } > watchdog
touch over
wait
systemctl stop docker-socket-proxy.service
{ show Result; show ExecMainCode; show ExecMainStatus; } > stopped
echo done > done
""")
    assert "cannot open /var/run/docker.sock" in files["first"]
    assert files["reload"] == "0\n", files
    assert files["main"] == "another\n/usr/local/bin/docker-socket-proxy\nactive\n0\n", files
    assert "not allowed by policy 'deny'" in files["second"]
    assert files["failed"] == "1\n" and files["same"] == "same\n"
    assert files["watchdog"] == "lives\nactive\n0\n"
    assert set(files["asked"].split()) <= {"502", "403"} and len(files["asked"].split()) > 20, files["asked"]
    assert files["stopped"] == "success\n1\n0\n", "a main process that is not the child of systemd is killed"
    assert files["slow"].startswith("HTTP/1.1 502 "), "the former process served it, by its own policy"
