"""One file per verb; each defines `app`, which `boreas.cli.main` imports when the verb is used."""
