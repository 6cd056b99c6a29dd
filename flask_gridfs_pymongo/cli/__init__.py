"""``flask gridfs``: the command line of a bucket; each module has related commands."""
