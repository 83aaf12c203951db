"""Command groups of the command line: thin functions that read arguments, call the engine and print.

Every module here is found by `cli`; one with an `app` is a group, one with `register(app)` has commands at the top:

    app = typer.Typer(help="What the provider publishes.", no_args_is_help=True)      # group: `INI provider tables`

    @app.command(epilog="Example: londiste_lite replica.ini provider tables")
    def tables(ctx: typer.Context, json: Json = False) -> None: ...

    def register(app: typer.Typer) -> None:                                            # top level: `INI replay`
        @app.command(epilog="Example: londiste_lite replica.ini replay -d")
        def replay(ctx: typer.Context) -> None: ...

`ctx.obj` is the `context.Context` of this call: `ctx.obj.londiste()`, `.queue()` and `.either()` give the settings and
set up logging; `.run(work)` runs `work(stop)` under signals, `.run_service(settings, work, prepare)` as a daemon with
pidfile and -d. Global options (-q -v -d -s -k -r -V) are dealt with before; a command must not have options of those
names, except that `--rewind` and `--reset` end the program before the command runs. Commands raise LondisteError and
print through `output`; they never import each other. What only one command needs, the replay for example, it imports
itself: whoever asks for a list of tables or for help should not wait for that.
"""
