"""``gennape plugins``: what is installed and which hooks each part answers."""

import argparse

from gennape_plugin.hooks import plugins


def run(args: argparse.Namespace) -> int:
    """Print one line for each plugin, in the order in which they are asked."""
    manager = plugins()
    for name, plugin in reversed(manager.list_name_plugin()):
        hooks = sorted(caller.name for caller in manager.get_hookcallers(plugin) or ())
        print(f"{name:20s} {', '.join(hooks) or 'no hooks'}")
    return 0
