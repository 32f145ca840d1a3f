from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from cygni_cli.command import command
from cygni_cli.context import Context
from cygni_cli.output import Result

FILES = {
    "bash": "~/.bashrc",
    "zsh": "~/.zshrc",
    "fish": "~/.config/fish/config.fish",
}


@command(
    examples=[
        'eval "$(cygni completion bash)"      in ~/.bashrc',
        'eval "$(cygni completion zsh)"       in ~/.zshrc',
        "cygni completion fish | source       in ~/.config/fish/config.fish",
    ]
)
@click.argument("shell", type=click.Choice(tuple(FILES)))
def completion(ctx: Context, *, shell: str) -> Result:
    """Print the completion script of a shell: commands, options, and from live data the
    names of projects and environments and the ids of deployments."""
    found = get_completion_class(shell)
    assert found is not None
    script = found(click.get_current_context().find_root().command, {}, "cygni", "_CYGNI_COMPLETE").source()
    return Result({"shell": shell, "script": script}, [script], [f"It belongs into {FILES[shell]}; see --help."])
