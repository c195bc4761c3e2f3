pytest_plugins = ["gennape_plugin.testing"]
