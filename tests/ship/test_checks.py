"""The checks refuse what they are there to refuse: a check that passes everything protects nobody."""

from __future__ import annotations

from pathlib import Path

import pytest

from conftest import BINARY, TOOLS, run

PROGRAM = """
#include <stdio.h>
#ifdef WRITABLE_CODE
__asm__(".section .both, \\"awx\\", @progbits\\n.byte 0\\n.previous");
#endif
int main(void) { return puts("x") < 0; }
"""
SAFE = ["-O1", "-static-pie", "-fPIE", "-s", "-Wl,-z,relro,-z,now,-z,noexecstack"]


def compile_program(tmp_path: Path, flags: list[str]) -> Path:
    """A tiny program linked with these flags."""
    source = tmp_path / "main.c"
    source.write_text(PROGRAM)
    binary = tmp_path / "program"
    result = run("gcc", source, "-o", binary, *flags)
    assert result.returncode == 0, result.stderr
    return binary


def test_the_release_binary_is_hardened() -> None:
    """What ships has each protection that the README names."""
    result = run(TOOLS / "check-hardening.sh", BINARY)
    assert result.returncode == 0, result.stderr


def test_hardening_accepts_a_safe_program(tmp_path: Path) -> None:
    """The check must not fail what is right."""
    result = run(TOOLS / "check-hardening.sh", compile_program(tmp_path, SAFE))
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize(("flags", "complaint"), [
    (["-O1", "-static", "-no-pie", "-s"], "position independent"),
    (["-O1", "-pie", "-fPIE", "-s", "-Wl,-z,relro,-z,now"], "asks for a loader"),
    (["-O1", "-pie", "-fPIE", "-s", "-Wl,-z,relro,-z,lazy"], "bound lazily"),
    (["-O1", "-static-pie", "-fPIE", "-s", "-Wl,-z,norelro"], "RELRO"),
    ([*SAFE[:-1], "-Wl,-z,relro,-z,now,-z,execstack"], "execute its stack"),
    (["-O1", "-pie", "-fPIE", "-s", "-Wl,-rpath,/tmp"], "search path"),
    (["-O1", "-static-pie", "-fPIE", "-Wl,-z,relro,-z,now"], "stripped"),
    ([*SAFE, "-DWRITABLE_CODE"], "writable and executable"),
])
def test_hardening_names_what_is_missing(
        tmp_path: Path, flags: list[str], complaint: str) -> None:
    """A lost linker flag must not reach a release."""
    result = run(TOOLS / "check-hardening.sh", compile_program(tmp_path, flags))
    assert result.returncode == 1
    assert complaint in result.stderr


def layers_of(tmp_path: Path, files: dict[str, str]) -> tuple[int, str]:
    """What check-layers.py says of a tree with these files."""
    for name, text in files.items():
        path = tmp_path / "src" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    result = run(TOOLS / "check-layers.py", tmp_path / "src")
    return result.returncode, result.stdout


HEADERS = {f"{folder}/{folder}.h": "" for folder in
           ("http", "policy", "session", "config", "docker", "upstream")}
HEADERS |= {"base/slice.h": "", "http/inner.h": "", "net/loop.h": "", "net/inner.h": ""}


def test_layers_accept_the_order(tmp_path: Path) -> None:
    """Each folder may use those below it, base/ by any of its headers."""
    code, text = layers_of(tmp_path, HEADERS | {
        "http/head.c": '#include <stdio.h>\n#include "http/inner.h"\n#include "base/slice.h"\n',
        "session/session.c": '#include "net/loop.h"\n#include "http/http.h"\n#include "policy/policy.h"\n',
        "main.c": '#include "session/session.h"\n#include "config/config.h"\n',
    })
    assert code == 0, text


@pytest.mark.parametrize(("file", "include", "complaint"), [
    ("http/head.c", "net/loop.h", "http/ may use base, not net/"),
    ("net/loop.c", "http/http.h", "net/ may use address, base, not http/"),
    ("policy/rules.c", "net/loop.h", "not net/"),
    ("upstream/pool.c", "session/session.h", "not session/"),
    ("session/relay.c", "config/config.h", "not config/"),
    ("base/buf.c", "config/config.h", "base/ may use nothing"),
    ("session/relay.c", "http/inner.h", "private to http/"),
    ("session/relay.c", "net/inner.h", "private to net/"),
    ("session/relay.c", "../http/http.h", "folder/file.h"),
    ("session/relay.c", "http/gone.h", "is no file"),
    ("http/head.c", "http/write.c", ".c file"),
    ("extra/new.c", "base/slice.h", "has no place"),
])
def test_layers_refuse(tmp_path: Path, file: str, include: str, complaint: str) -> None:
    """An include against the direction would let policy depend on sockets, one convenience at a time."""
    code, text = layers_of(tmp_path, HEADERS | {file: f'\n#  include "{include}"\n'})
    assert code == 1
    assert f"{file}:" in text and complaint in text


def source_problems(tmp_path: Path, text: str, folder: str = "http") -> str:
    """What check-source.py says of one file."""
    path = tmp_path / folder / "file.c"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    result = run(TOOLS / "check-source.py", path)
    assert (result.returncode != 0) == bool(result.stdout)
    return result.stdout


@pytest.mark.parametrize("line", [
    "strcpy(a, b);", "sprintf(a, b);", "n = atoi(text);", "n = strtoul (text, &end, 10);",
    "fd = accept(listener, NULL, NULL);", "system(text);", "p = alloca(n);",
    "memcpy(a, b, n);", "memcpy(a, f(b, c), x.len + 1);", "static int calls;", "static int n = 0;",
    "x(); // TODO later",
])
def test_source_refuses(tmp_path: Path, line: str) -> None:
    """Each of these has been a vulnerability, or a lost note, in somebody's proxy."""
    assert ":2: " in source_problems(tmp_path, f"void f(void)\n\t{line}\n")


@pytest.mark.parametrize("line", [
    "fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);", 'log("use strcpy(a, b)");',
    "/* strcpy(a, b) */", "memcpy(a, b, sizeof(*a));", "memcpy(a, b, 16);", "memcpy(a, b, KEY_LEN);",
    "static const int table[] = {1};", "n = my_atoi(text);", "x->system(text);",
    "memcpy(a, b, n); /* lint: n was checked by the caller's type */", "x(); // TODO (#12) later",
])
def test_source_accepts(tmp_path: Path, line: str) -> None:
    """A check that cries at strings and comments would be switched off."""
    assert source_problems(tmp_path, f"void f(void)\n\t{line}\n") == ""


def test_base_may_copy(tmp_path: Path) -> None:
    """base/ is where lengths are computed and checked."""
    assert source_problems(tmp_path, "\tmemcpy(a, b, n);\n", folder="base") == ""


def test_source_refuses_long_files(tmp_path: Path) -> None:
    """A file that nobody reads to its end hides things."""
    assert "801 lines" in source_problems(tmp_path, "int x;\n" * 801)
