"""`--help` that fits a screen: options in sections, and those that few people need behind `--help-all`.

What belongs here: which options a page shows, and under which title. What does not: the options (`options`), the list of commands.
"""

from __future__ import annotations

from typing import Any, Final

import click

_WIDEST: Final = 24  # of the first column; an option that is longer has its text below


class SectionedOption(click.Option):
    """An option that `--help-all` shows under a title; a rare one is left out of `--help`."""

    def __init__(self, *args: Any, section: str, rare: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section, self.rare = section, rare


class SectionedCommand(click.Command):
    """A command with such options."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Those of the command, `--help-all` if any is rare, `--help`."""
        *own, asked = super().get_params(ctx)
        return [*own, _HELP_ALL, asked] if any(map(_is_rare, own)) else [*own, asked]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """All options in their sections; or those that are not rare, settings in one."""
        whole = bool(ctx.meta.get(__name__))
        sections: dict[str, list[tuple[str, str]]] = {"Options": []}
        for option in self.get_params(ctx):
            record = option.get_help_record(ctx)
            if isinstance(option, click.Option) and record is not None and (whole or not _is_rare(option)):
                title = "Options" if not isinstance(option, SectionedOption) else option.section if whole else "Settings"
                sections.setdefault(title, []).append(record)
        widest = max(len(names) for records in sections.values() for names, _ in records if len(names) <= _WIDEST)
        for title, records in sections.items():
            with formatter.section(title):
                formatter.write_dl([(f"{names:<{widest}}", says) for names, says in records], col_max=widest)


def _is_rare(option: click.Parameter) -> bool:
    return isinstance(option, SectionedOption) and option.rare


def _show_all(ctx: click.Context, option: click.Parameter, asked: bool) -> None:
    if asked:
        ctx.meta[__name__] = True
        click.echo(ctx.get_help(), color=ctx.color)
        ctx.exit()


_HELP_ALL: Final = click.Option(
    ["--help-all"], is_flag=True, is_eager=True, expose_value=False, callback=_show_all, help="Show all options, every setting included."
)
