"""`replay`, `wait`, `copy`, `--rewind` and `--reset`: applying the queue to the subscriber."""

from __future__ import annotations

from contextlib import closing
from typing import Annotated

import typer

from londiste_lite import event_queue, output, pausing, subscribed
from londiste_lite.config import LondisteSettings
from londiste_lite.context import Context
from londiste_lite.engine_settings import engine_settings
from londiste_lite.errors import RegistrationError, UsageError, WaitTimeout
from londiste_lite.locks import replay_holder
from londiste_lite.metrics_service import MetricsService
from londiste_lite.replay import position
from londiste_lite.replay.settings import ReplaySettings
from londiste_lite.scraped import Scraped
from londiste_lite.sides import both, of_subscriber
from londiste_lite.stop_flag import StopFlag


def _serve(context: Context, nodes: dict[str, LondisteSettings]) -> None:
    from londiste_lite import service

    served = list(nodes.values())

    def measured() -> list[Scraped]:
        return [Scraped(n.provider_db, n.subscriber_db, n.job_name, n.queue, n.consumer, n.node) for n in served]

    metrics = MetricsService(lambda: measured()[0], measured)

    def read() -> list[ReplaySettings]:
        served[:] = context.nodes().values()
        metrics.serve(served[0].metrics_port)
        return [engine_settings(one) for one in served]

    def work(stop: StopFlag) -> None:
        with closing(metrics):
            metrics.serve(served[0].metrics_port)
            service.run_nodes([engine_settings(one) for one in served], stop, read, metrics.of_consumer)

    context.run_service(context.londiste(), work)


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""

    @app.command(epilog="Example: londiste_lite replica.ini replay -d")
    def replay(
        ctx: typer.Context,
        once: Annotated[bool, typer.Option("--once", help="Apply what is committed now, then end.")] = False,
    ) -> None:
        """Apply the queue to the subscriber: in the foreground, with -d as a daemon, or --once.

        With an INI that has [node:NAME] sections, one process serves all these nodes, or the one named with --node.
        """
        from londiste_lite import service

        context: Context = ctx.obj
        nodes = context.nodes()
        if nodes and not once:
            _serve(context, nodes)
            return
        settings = context.londiste()
        if once:
            if context.daemon:
                raise UsageError(
                    "--once cannot run in the background", hint="Leave out -d, or --once for a replay that goes on."
                )
            with output.progress("") as told:
                context.run(lambda stop: service.run_once(engine_settings(settings), stop, told))
            return

        def scraped() -> Scraped:
            now = context.londiste()
            return Scraped(now.provider_db, now.subscriber_db, now.job_name, now.queue, now.consumer, now.node)

        metrics = MetricsService(scraped)

        def read_again() -> ReplaySettings:
            metrics.serve(context.londiste().metrics_port)
            return engine_settings(context.londiste())

        def work(stop: StopFlag) -> None:
            with closing(metrics):
                metrics.serve(settings.metrics_port)
                service.run_replay(engine_settings(settings), stop, read_again, metrics)

        context.run_service(settings, work)

    @app.command(epilog="Example: londiste_lite replica.ini wait --timeout 60")
    def wait(
        ctx: typer.Context,
        timeout: Annotated[float | None, typer.Option("--timeout", help="Seconds; without it, for ever.")] = None,
    ) -> None:
        """Return when all that is committed on the provider now is visible on the subscriber, copies included."""
        from londiste_lite import progress

        context: Context = ctx.obj
        if timeout is not None and not timeout >= 0:
            raise UsageError(f"--timeout is a number of seconds, not {timeout:g}")
        settings = context.londiste()
        with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
            event_queue.find_queue(provider, settings.queue)
            whose = (provider, subscriber, settings.queue, settings.consumer)
            with output.progress("") as told:
                if context.run(lambda stop: progress.wait(*whose, timeout, stop, told)):
                    return
            running = replay_holder(subscriber, settings.consumer) is not None
            paused = pausing.find(subscriber, settings.consumer) is not None
        hint = "`status` shows how far it is." if running else "No replay is running: start one with `replay -d`."
        if paused:
            hint = "The replay is paused: `resume` lets it go on."
        raise WaitTimeout(f"the subscriber had not caught up after {timeout:g} seconds", hint=hint)

    @app.command(epilog="Example: londiste_lite replica.ini copy")
    def copy(ctx: typer.Context) -> None:
        """Finish the copies that are due and show how far they are: by the running replay, or here when none runs.

        Without a running replay it also applies what is in the queue, as `replay --once` does.
        """
        from londiste_lite import progress, service

        context: Context = ctx.obj
        settings = context.londiste()
        with output.progress("") as told:
            with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
                event_queue.find_queue(provider, settings.queue)
                whose = (subscriber, settings.queue, settings.consumer)
                count = context.run(lambda stop: progress.wait_for_copies(*whose, stop, told))
                if count is None:
                    context.run(lambda stop: service.run_once(engine_settings(settings), stop, told))
                    count = len(subscribed.tables(subscriber, settings.queue))
        output.message(
            f"{count} table{' is' if count == 1 else 's are'} in sync" if count else "no tables are subscribed"
        )


def rewind(context: Context) -> None:
    """Put the provider's position of the consumer to the tick that the subscriber has stored."""
    from londiste_lite import registration

    settings = context.londiste()
    with both(settings.provider_db, settings.subscriber_db, settings.job_name) as (provider, subscriber):
        registration.require_stopped(subscriber, settings.consumer)
        queue = event_queue.find_queue(provider, settings.queue)
        tick = position.stored(subscriber, settings.consumer)
        if tick is None:
            raise RegistrationError(
                f'the subscriber has no position of "{settings.consumer}"',
                hint="Nothing was applied since it began or was reset, so there is no place to go back to.",
            )
        if event_queue.tick_by_id(provider, queue, tick) is None:
            raise RegistrationError(
                f"the provider no longer has tick {tick}",
                hint="Use --reset, then `subscriber resync --all`: all tables are copied anew.",
            )
        event_queue.register(provider, settings.queue, settings.consumer)
        event_queue.move_to(provider, settings.queue, settings.consumer, tick)
    output.message(f'consumer "{settings.consumer}" stands at tick {tick}')


def reset(context: Context) -> None:
    """Forget the tick that the subscriber has stored; replay goes on from the provider's position."""
    from londiste_lite import registration

    settings = context.londiste()
    with of_subscriber(settings) as subscriber:
        registration.require_stopped(subscriber, settings.consumer)
        had = position.forget(subscriber, settings.consumer)
    output.message(f'position of "{settings.consumer}" {"forgotten" if had else "is not stored, nothing to forget"}')
