"""What the commands of the command line do, imported only for the command that was given."""
