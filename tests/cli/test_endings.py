"""How commands end: exit codes that mean one thing each, one line, and output in any code page."""

import errno
import io
import json
import os
import shutil
import subprocess
import sys

import pytest
import typer

from patchcore_dual.cli import console, endings
from patchcore_dual.cli import main as command_line

CODE_PAGES = ("cp1252", "cp850", "cp932", "cp437", "latin-1", "ascii")
on_linux = pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs /dev/full")


@pytest.fixture
def ending(monkeypatch, run):
    """Run a command that raises something."""

    def ending(error, command="evaluate"):
        def fail(**_):
            raise error

        app = typer.Typer(cls=command_line._Commands, pretty_exceptions_enable=False)
        app.command(command)(lambda: fail())
        app.command("other")(lambda: None)
        monkeypatch.setattr(command_line, "app", app)
        return run(command)

    return ending


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("cannot reshape\narray"), 70, "ValueError: cannot reshape array ("),
        (KeyError("missing"), 70, "KeyError"),
        (ModuleNotFoundError("No module named 'nonesuch'", name="nonesuch"), 70, "nonesuch"),
        (OSError(errno.ENOSPC, "No space left on device"), 2, "No space left on device"),
        (OSError(errno.EACCES, "Permission denied", "maps/a"), 2, "maps/a: Permission denied."),
        (OSError("4096 requested and 0 written"), 2, "4096 requested and 0 written"),
        (MemoryError("Unable to allocate 3 GiB"), 2, "not enough memory. Unable to allocate"),
        (EOFError(), 2, "Aborted."),
        (typer.Abort(), 2, "Aborted."),
        (KeyboardInterrupt(), 130, "Interrupted. Anomaly maps written so far"),
        (KeyboardInterrupt("3 of 5 were kept."), 130, "Interrupted. 3 of 5 were kept."),
    ],
)
def test_no_exception_shares_an_exit_code_with_an_answer(ending, error, code, message):
    result = ending(error)
    assert (result.code, result.out) == (code, "")
    assert message in result.err
    assert len(result.err.splitlines()) == 1
    assert "Traceback" not in result.err


def test_answers_keep_their_exit_codes(ending):
    assert ending(typer.Exit(1)).code == 1
    assert ending(typer.BadParameter("no such thing")).code == 2


def test_the_traceback_is_shown_where_it_is_asked_for(ending, monkeypatch):
    assert endings.ASK_FOR_TRACEBACK in ending(ValueError("odd")).err
    monkeypatch.setenv(endings.ASK_FOR_TRACEBACK, "1")
    result = ending(ValueError("odd"))
    assert result.code == 70
    assert "Traceback" in result.err


@pytest.mark.parametrize("command", ["prepare", "fit", "evaluate", "inspect", "augment"])
def test_ctrl_c_says_what_was_kept_and_how_to_go_on(ending, command):
    result = ending(KeyboardInterrupt(), command)
    assert result.code == 130
    assert "same command" in result.err


@pytest.mark.parametrize("command", [c.name or c.callback.__name__.replace("_", "-") for c in
                                     command_line.app.registered_commands])  # fmt: skip
def test_every_command_says_something_after_ctrl_c(command):
    assert command in command_line._AFTER_CTRL_C


@pytest.mark.parametrize("arguments", [("--help",), ("fit", "--help"), ("audit", "PREPARED")])
def test_a_closed_pipe_is_no_answer(in_a_process, prepared, arguments):
    """As in `patchcore-dual … | head`: quiet, and with an exit code of its own."""
    read, write = os.pipe()
    os.close(read)
    result = in_a_process(
        *(prepared.folder if a == "PREPARED" else a for a in arguments), stdout=write
    )
    os.close(write)
    assert result.returncode == 141
    assert result.stderr.strip() == b""


@on_linux
def test_output_to_a_full_disk_is_no_answer(in_a_process, prepared):
    with open("/dev/full", "w") as full:
        result = in_a_process("audit", prepared.folder, stdout=full)
    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert b"No space left" in result.stderr


@pytest.mark.parametrize("code_page", CODE_PAGES)
def test_every_sign_is_printed_in_every_code_page(monkeypatch, code_page):
    """File names too, whichever letters they have, and names that are not UTF-8."""
    written = io.BytesIO()
    stream = io.TextIOWrapper(written, encoding=code_page)
    monkeypatch.setattr(sys, "stdout", stream)
    console.print_in_any_code_page()
    print("score 2 ± 0.1 ≤ 3, 3×4 px … 工件.png \udcff.png 😀")
    console.print_json({"path": "工件é😀\udcff.png"})
    stream.flush()
    line, *rest = written.getvalue().decode(code_page).splitlines()
    assert line.startswith("score 2 ")
    assert "\\udcff.png" in line
    assert ("工件" in line) == (code_page == "cp932")
    assert json.loads("\n".join(rest)) == {"path": "工件é😀\udcff.png"}


def test_signs_become_their_likeness_in_ascii(monkeypatch):
    stream = io.TextIOWrapper(written := io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    console.print_in_any_code_page()
    print("2 ± 0.1 ≤ 3, 3×4 px …", flush=True)
    assert written.getvalue().strip() == b"2 +/- 0.1 <= 3, 3x4 px ..."


@pytest.mark.parametrize("code_page", ["cp1252", "cp437"])
@pytest.mark.parametrize("command", ["audit", "evaluate", "inspect", "prepare", "help"])
def test_every_command_prints_in_a_windows_code_page(
    run, prepared, model_folder, tmp_path, monkeypatch, command, code_page
):
    source = tmp_path / "parts – 工件"
    for label, kind in (("negative", "good"), ("positive", "crack")):
        (source / kind).mkdir(parents=True)
        for sample in prepared.part(label=label):
            shutil.copy(prepared.image_path(sample), source / kind)
    arguments = {
        "audit": ("audit", prepared.folder),
        "evaluate": ("evaluate", model_folder, prepared.folder),
        "inspect": ("inspect", model_folder, source),
        "prepare": ("prepare", "folder", source, tmp_path / "prepared", "--size", "64x96"),
        "help": ("fit", "--help"),
    }[command]
    written = {name: io.BytesIO() for name in ("stdout", "stderr")}
    for name, stream in written.items():
        monkeypatch.setattr(sys, name, io.TextIOWrapper(stream, encoding=code_page))
    result = run(*arguments)
    sys.stdout.flush()
    sys.stderr.flush()
    printed, said = (stream.getvalue().decode(code_page) for stream in written.values())
    assert result.code in (0, 1 if command == "audit" else 0), said
    assert "Unicode" not in said
    assert len(printed.splitlines()) > 1


@pytest.mark.parametrize("code_page", ["cp1252", "cp437"])
def test_a_process_prints_in_the_code_page_of_its_console(in_a_process, prepared, code_page):
    result = in_a_process("audit", prepared.folder, environment={"PYTHONIOENCODING": code_page})
    assert result.returncode in (0, 1), result.stderr
    assert b"Unicode" not in result.stderr
    assert len(result.stdout.decode(code_page).splitlines()) > 1


def test_ctrl_c_in_a_process(prepared, tmp_path):
    """While it loads and fits: one line and 130, whenever it comes."""
    code = (
        "import _thread, threading; from patchcore_dual.cli.main import main; "
        "threading.Timer(1.5, _thread.interrupt_main).start(); main()"
    )
    command = [sys.executable, "-c", code, "fit", str(prepared.folder), "--model"]
    result = subprocess.run([*command, str(tmp_path / "m")], capture_output=True, check=False)
    assert result.returncode in (0, 130)  # 0 where it was faster
    assert b"Traceback" not in result.stderr


def test_a_full_disk_leaves_the_figures_of_evaluate(
    run, no_file_beyond, prepared, model_folder, tmp_path
):
    """No file may grow beyond 20 kB, as on a full disk: the figures are printed all the same."""
    with no_file_beyond(20_000):
        result = run(
            *("evaluate", model_folder, prepared.folder, "--json"),
            *("--maps", tmp_path / "maps", "--report", tmp_path / "report"),
        )
    assert result.code == 2
    assert len(result.json["images"]) == 9
    assert "Traceback" not in result.err
    assert "error: cannot write" in result.err
    assert not [p for p in tmp_path.rglob("*") if p.is_file() and p.stat().st_size == 20_000]
