"""``gennape plugins``: what is installed and which hooks each part answers."""

import argparse
from importlib import metadata

from gennape_plugin.hooks import plugins
from gennape_plugin.hookspecs import GROUP


def run(args: argparse.Namespace) -> int:
    """Print one line for each plugin, in the order in which they are asked."""
    manager = plugins()
    installed = metadata.entry_points(group=GROUP)
    versions = {entry.name: entry.dist.version for entry in installed if entry.dist}
    rows = [("plugin", "version", "hooks")]
    for name, plugin in reversed(manager.list_name_plugin()):
        hooks = sorted(caller.name for caller in manager.get_hookcallers(plugin) or ())
        built_in = name.startswith("gennape:")
        version = metadata.version("gennape-plugin") if built_in else versions.get(name, "-")
        rows.append((name, version, ", ".join(hooks) or "none"))
    first, second = (max(len(row[i]) for row in rows) for i in (0, 1))
    for name, version, answered in rows:
        print(f"{name:{first}s}  {version:{second}s}  {answered}")
    return 0
