"""The command line: ``ebok serve``, ``ebok migrate``, … and every command that a plugin brings.

Exit codes: 0 done, 1 refused or found wrong, 2 used wrongly. What goes wrong is one line on standard error.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

from kernel.config import Config, ConfigError, load_config
from kernel.plugin.contracts import Command, SourceError
from kernel.plugin.manager import KERNEL, PluginError, bundled, installed
from kernel.plugin.permissions import PUBLIC
from kernel.plugin.registry import Registry
from kernel.terminal import fail, say, say_json


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        return _run(given)
    except BrokenPipeError:
        return 0
    except KeyboardInterrupt:
        return 130
    except (ConfigError, PluginError, SourceError) as error:
        return fail(error, 2 if isinstance(error, ConfigError) else 1)


def _run(given: list[str]) -> int:
    from kernel.app import registry_of
    from kernel.db.embedded import EmbeddedError
    from kernel.db.migrate import MigrationError
    from kernel.db.pool import DatabaseUnavailable
    from kernel.serve import ServeError

    early = _global_options()
    known, _rest = early.parse_known_args([word for word in given if word not in ("-h", "--help")])
    config = _configured(known)
    registry = registry_of(config)
    parsed = _parser(registry).parse_args(given)
    config = _configured(parsed)
    from kernel.logs import set_up_logs

    set_up_logs("text" if parsed.command == "demo" else config.log_format, config.log_level)
    try:
        return asyncio.run(_dispatch(parsed, config, registry))
    except ServeError as error:
        return fail(error, error.code)
    except (EmbeddedError, MigrationError, DatabaseUnavailable, OSError) as error:
        return fail(error, 1)


def _global_options() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(add_help=False, argument_default=argparse.SUPPRESS)
    options.add_argument("--config", type=Path, metavar="FILE", help="configuration file (default: ./ebok.toml)")
    options.add_argument("--data-dir", type=Path, metavar="D", help="where the embedded database and files live")
    return options


def _configured(parsed: argparse.Namespace) -> Config:
    config = load_config(getattr(parsed, "config", None))
    changes: dict[str, Any] = {}
    if getattr(parsed, "data_dir", None) is not None:
        changes["data_dir"] = parsed.data_dir
    names = ("host", "port", "workers", "tls_cert", "tls_key")
    server = {name: getattr(parsed, name) for name in names if getattr(parsed, name, None) is not None}
    if server:
        changes["server"] = config.server.model_copy(update=server)
    return config.model_copy(update=changes) if changes else config


def _parser(registry: Registry) -> argparse.ArgumentParser:
    shared = _global_options()
    parser = argparse.ArgumentParser(prog="ebok", description="Electronic customer office.", parents=[shared])
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def add(name: str, about: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=about, description=about, parents=[shared])

    serve = add("serve", "serve the office's pages")
    _server_options(serve)
    serve.add_argument("--no-worker", action="store_true", help="do no jobs in this process")
    add("worker", "do jobs only")
    demo = add("demo", "make and serve a demonstration organisation")
    _server_options(demo)
    demo.add_argument("--customers", type=int, default=500, help="how many customers (default 500)")
    demo.add_argument("--months", type=int, default=24, help="how many months of history (default 24)")
    demo.add_argument("--seed", type=int, default=1, help="the same seed makes the same organisation")
    demo.add_argument("--no-serve", action="store_true", help="only fill the database")
    demo.add_argument("--accounts-file", type=Path, metavar="F", help="write addresses and logins as JSON")
    migrate = add("migrate", "bring the databases to this version")
    migrate.add_argument("--check", action="store_true", help="only say what is missing (exit code 1 if anything is)")
    for name, about in (("routes", "list every address"), ("plugins", "list installed and enabled plugins")):
        add(name, about).add_argument("--json", action="store_true", help="for machines")
    for name, about in (("verify", "prove the data's invariants"), ("doctor", "check configuration and surroundings")):
        add(name, about).add_argument("--json", action="store_true", help="for machines")
    _plugin_commands(commands, registry, shared)
    return parser


def _server_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", help="address to listen on")
    parser.add_argument("--port", type=int, help="port to listen on")
    parser.add_argument("--workers", type=int, metavar="N", help="number of web processes")
    parser.add_argument("--tls-cert", type=Path, metavar="FILE", help="certificate chain (PEM)")
    parser.add_argument("--tls-key", type=Path, metavar="FILE", help="private key (PEM)")


def _plugin_commands(commands: Any, registry: Registry, shared: argparse.ArgumentParser) -> None:
    groups: dict[str, Any] = {}
    for command in registry.commands.values():
        first, _, second = command.name.partition(" ")
        if second:
            if first not in groups:
                group = commands.add_parser(first, help=f"{first} …", parents=[shared])
                groups[first] = group.add_subparsers(dest="subcommand", required=True, metavar="COMMAND")
            parser = groups[first].add_parser(second, help=command.help, description=command.help, parents=[shared])
        else:
            parser = commands.add_parser(first, help=command.help, description=command.help, parents=[shared])
        for argument in command.arguments:
            parser.add_argument(*argument.flags, **argument.options)
        parser.add_argument("--site", metavar="NAME", help="which organisation, when there are several")
        parser.set_defaults(plugin_command=command)


async def _dispatch(parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    if command := getattr(parsed, "plugin_command", None):
        return await _plugin_command(command, parsed, config, registry)
    own: dict[str, Callable[[argparse.Namespace, Config, Registry], Awaitable[int]]] = {
        "serve": _serve,
        "worker": _worker,
        "demo": _demo,
        "migrate": _migrate,
        "routes": _routes,
        "plugins": _plugins,
        "verify": _verify,
        "doctor": _doctor,
    }
    return await own[parsed.command](parsed, config, registry)


async def _plugin_command(command: Command, parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    from kernel.app import opened_sites
    from kernel.serve import check_migrated

    async with opened_sites(config, registry) as sites:
        chosen = [site for site in sites if parsed.site in (None, site.name)]
        if len(chosen) != 1:
            names = ", ".join(site.name for site in sites)
            return fail(f"Say which organisation with --site: {names}.", 2)
        await check_migrated(chosen[0])
        return await command.run(chosen[0], parsed)


async def _serve(parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    from kernel.serve import serve

    return await serve(config, worker=not parsed.no_worker)


async def _worker(parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    from kernel.serve import work

    return await work(config)


async def _demo(parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    from kernel.demo import demo
    from kernel.plugin.contracts import DemoPlan

    plan = DemoPlan(customers=parsed.customers, months=parsed.months, seed=parsed.seed)
    return await demo(config, registry, plan, serve=not parsed.no_serve, accounts_file=parsed.accounts_file)


async def _migrate(parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    import asyncpg

    from kernel.app import migrate_database, migrations_of, opened_sites
    from kernel.db import migrate as migrations
    from kernel.db.pool import DatabaseUnavailable

    failed = False
    async with opened_sites(config, registry) as sites:
        for site in sites:
            try:
                if parsed.check:
                    connection = await migrations.connect(site.owner_dsn)
                    try:
                        waiting = await migrations.pending(connection, migrations_of(registry))
                    finally:
                        await connection.close()
                    failed |= bool(waiting)
                    for migration in waiting:
                        say(f"{site.name}: {migration.label} has not run")
                else:
                    ran = await migrate_database(site.owner_dsn, registry)
                    say(f"{site.name}: {len(ran)} migrations ran" if ran else f"{site.name}: up to date")
            except (migrations.MigrationError, DatabaseUnavailable, asyncpg.PostgresError) as error:
                failed = True
                fail(f"{site.name}: {error}")
    return 1 if failed else 0


async def _routes(parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    rows = [
        {
            "method": route.method,
            "path": route.path,
            "name": route.name,
            "plugin": registry.owner_of[route.name],
            "permission": route.permission,
            "roles": ["anonymous", "customer", "admin", "superadmin"]
            if route.permission == PUBLIC
            else sorted(registry.permissions[route.permission].roles),
        }
        for route in registry.routes.values()
    ]
    if parsed.json:
        say_json(rows)
    else:
        for row in sorted(rows, key=lambda row: (row["path"], row["method"])):
            say(f"{row['method']:6} {row['path']:44} {row['name']:32} {row['permission']}")
    return 0


async def _plugins(parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    enabled = {plugin.name: plugin for plugin in registry.plugins if plugin.name != KERNEL}
    ours = set(bundled())
    rows = [
        {
            "name": name,
            "enabled": name in enabled,
            "bundled": name in ours,
            "distribution": point.dist.name if point.dist else "",
            "version": point.dist.version if point.dist else "",
            "requires": list(enabled[name].manifest.requires) if name in enabled else None,
        }
        for name, point in sorted(installed().items())
    ]
    if parsed.json:
        say_json(rows)
    else:
        for row in rows:
            say(f"{'on ' if row['enabled'] else 'off'} {row['name']:20} {row['distribution']} {row['version']}")
    return 0


async def _verify(parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    from kernel.diagnosis import run_checks

    return await run_checks(config, registry, "verify", as_json=parsed.json)


async def _doctor(parsed: argparse.Namespace, config: Config, registry: Registry) -> int:
    from kernel.diagnosis import run_checks

    return await run_checks(config, registry, "doctor", as_json=parsed.json)
