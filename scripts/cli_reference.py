"""Write docs/cli.md from the commands themselves: ``python scripts/cli_reference.py``."""

import inspect
from pathlib import Path
from typing import get_args

import typer
from typer.models import ArgumentInfo, OptionInfo

from snnhw.cli.app import app

TARGET = Path(__file__).resolve().parent.parent / "docs" / "cli.md"

COMMON = "Output"  # panel of the options that every command has; the head explains them

HEAD = """# Command line

Every command prints its result on stdout, as tables or with `--json` as one JSON object, and its progress on stderr (none with
`--quiet`, or where stderr is not a terminal). It records the same JSON as `<command>.json` in the run folder, from where
`snnhw report` gathers it:

```json
{"schema": 1, "command": "...", "arguments": [], "versions": {}, "seed": null, "seconds": 0.0, "results": {}}
```

| exit code | means |
|---|---|
| 0 | ok |
| 1 | a check ran and failed: a mismatch, a missed clock, an external tool that ended with an error |
| 2 | wrong usage, or input that cannot be used |
| 3 | a tool or package is missing; the message says how to install it |
| 130 | interrupted |

An error is one line on stderr, `error: ...`; `--debug` adds the traceback. Outputs appear whole or not at all.
"""


def _name(info: ArgumentInfo | OptionInfo, parameter: inspect.Parameter) -> str:
    if isinstance(info, ArgumentInfo):
        return f"`{parameter.name.upper()}`"
    # Inside Annotated, Typer keeps the first spelling in the place of the default.
    names = [name for name in (info.default, *(info.param_decls or ())) if isinstance(name, str)]
    return ", ".join(f"`{name}`" for name in names) + (f" `{info.metavar}`" if info.metavar else "").replace("|", "&#124;")


def _default(parameter: inspect.Parameter) -> str:
    if parameter.default is inspect.Parameter.empty:
        return "required"
    return "" if parameter.default in (None, False) else f"`{parameter.default}`"


def render() -> str:
    """Return the reference."""
    parts = [HEAD]
    commands = [(str(command.name), command) for command in app.registered_commands]
    for group in app.registered_groups:
        assert group.typer_instance is not None
        commands += [(f"{group.name} {command.name}", command) for command in group.typer_instance.registered_commands]
    for name, command in commands:
        function = command.callback
        assert function is not None
        parts.append(f"\n## snnhw {name}\n\n{inspect.cleandoc(function.__doc__ or '')}\n")
        rows = []
        for parameter in inspect.signature(function).parameters.values():
            info = next(item for item in get_args(parameter.annotation) if isinstance(item, ArgumentInfo | OptionInfo))
            if getattr(info, "rich_help_panel", None) != COMMON:
                rows.append(f"| {_name(info, parameter)} | {_default(parameter)} | {(info.help or '').replace('|', '&#124;')} |")
        if rows:
            parts += ["| argument | default | |", "|---|---|---|", *rows]
    return "\n".join(parts) + "\n"


if __name__ == "__main__":
    TARGET.write_text(render())
    typer.echo(f"wrote {TARGET.name}")
