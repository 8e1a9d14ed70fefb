"""Second words of commands: `sweep report`, `data check`."""
