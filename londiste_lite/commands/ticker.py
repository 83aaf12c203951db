"""`ticker`: marks snapshots of the provider, for a [pgqadm] INI or a [londiste] one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import typer

from londiste_lite.config import LondisteSettings, QueueSettings
from londiste_lite.context import Context
from londiste_lite.options import QUEUE
from londiste_lite.stop_flag import StopFlag

if TYPE_CHECKING:
    from londiste_lite.ticker import TickerSettings


def ticker_settings(settings: LondisteSettings | QueueSettings) -> TickerSettings:
    """Return what the engine needs of an INI's settings."""
    from londiste_lite.ticker import TickerSettings

    if isinstance(settings, LondisteSettings):
        return TickerSettings(
            settings.provider_db,
            settings.job_name,
            loop_delay=settings.loop_delay,
            connection_lifetime=settings.connection_lifetime,
        )
    return TickerSettings(
        settings.db,
        settings.job_name,
        loop_delay=settings.loop_delay,
        maint_delay=settings.maint_delay,
        queue_refresh_period=settings.queue_refresh_period,
        ticker_log_delay=settings.ticker_log_delay,
        connection_lifetime=settings.connection_lifetime,
    )


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command(epilog="Example: pgqadm.py ticker.ini ticker -d")
    def ticker(ctx: typer.Context) -> None:
        """Tick all queues of the database and keep them clean: in the foreground, or with -d as a daemon."""
        from londiste_lite import service

        context: Context = ctx.obj
        settings = context.either(prefer=QUEUE)

        def work(stop: StopFlag) -> None:
            service.run_ticker(ticker_settings(settings), stop, lambda: ticker_settings(context.either()))

        context.run_service(settings, work)
