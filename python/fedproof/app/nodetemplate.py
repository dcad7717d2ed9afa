"""The `node.toml` that `fedproof node init` writes: every key, with its default, and what it is for."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

from fedproof.app.nodeconfig import Role
from fedproof.errors import InputError

_COMMON: Final = """\
# How a {role} of a federation runs. Paths are relative to this file. No secret belongs into it.
role = "{role}"
name = "{role}-1"                     # in logs: letters, digits, - and _
deployment = "deployment.json"        # from whoever runs the federation

[chain]
rpc = "http://127.0.0.1:8545"         # $FEDPROOF_RPC takes its place, and is the place for URLs with credentials
confirmations = 2                     # blocks after which one counts as final; 0 on development chains only
poll_seconds = 2.0                    # between two looks at the chain
timeout = 20.0                        # seconds for one attempt of a request
retries = 5                           # further attempts
min_balance = 0.05                    # ether for gas; `fedproof node check` wants to see it, and a start warns
clock_tolerance = 300                 # seconds that this machine's clock and the chain's may differ
# slot_blocks = 10                    # blocks after which the next worker may lead; without the line, worked out

# [store]
# url = "s3://bucket/folder"          # in place of the deployment's; credentials go to the driver's own settings

[keys]
folder = "keys"                       # made by: fedproof keys new keys
# passphrase_file = "passphrase"      # of mode 0600; without it $FEDPROOF_PASSPHRASE, or a prompt

[state]
folder = "state"                      # what this node must never forget: back it up, never copy it back
# cache = "state/cache"               # proving keys, fetched when they are missing
min_free_mib = 1024                   # what `fedproof node check` wants free on that disk

[http]
host = "127.0.0.1"                    # for /healthz and /metrics
port = 0                              # 0: not served
public = false                        # true allows a host that others can reach: put a proxy in front of it

[log]
level = "info"                        # debug, info, warning, error
format = "json"                       # json or text
"""

_SECTIONS: Final = {
    "participant": """
[participant]
access = "access"                     # saved state that took the grants; in a marketplace home private/NAME/notes
# datasets = [1, 2]                   # datasets that may be used; without the line, all that it has access to
# tasks = [1]                         # tasks that it may enrol in; without the line, the first that keeps the limits
                                      # below, and no other: two tasks that start close to each other show more
max_rounds = 100                      # the most rounds that a task may have
min_committee = 3                     # the fewest workers that a task may have
min_updates = 3                       # the fewest updates that a task may sum: fewer tell more of each
max_bond = "0"                        # tokens that it stakes in a task; t + 1 of the workers can take them
min_threshold = 1                     # t at least: t + 1 workers that work together can read updates
# sponsors = ["0x..."]                # whose tasks it takes part in; without the line, anybody's
# workers = ["w1.json", "w2.json"]    # workers that it trusts, each file from: fedproof keys show KEYS --json
                                      # without the line a sponsor may name any, itself included
# trainer = "package.module:function"  # own training, where tasks ask for bounded updates and not for proofs of
                                      # training; it runs inside this node with all its rights: install your own code
""",
    "provider": """
[provider]
# saved state of each listed dataset whose grants are answered; in a marketplace home private/NAME/dataset-...
datasets = ["dataset"]
""",
    "worker": """
[worker]
lead = true                           # this worker may also add up, prove and settle; false leaves that to others
escrow_datasets = []                  # datasets of which it keeps shares of tier keys
max_bond = "0"                        # tokens that it stakes at once, as its bond or for a complaint: no task with
                                      # higher bonds; t + 1 of its other workers can take them
# sponsors = ["0x..."]                # whose tasks it works in; without the line, anybody's
""",
}


def template(role: Role) -> str:
    """The text for a role; `read_config` takes it as it is."""
    return _COMMON.replace("{role}", role) + _SECTIONS[role]


def write_template(role: Role, path: Path) -> None:
    """Write it to a new file.

    Raises:
        InputError: the file exists already, or cannot be written.
    """
    try:
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o644)
        with os.fdopen(descriptor, "w") as file:
            file.write(template(role))
    except FileExistsError:
        raise InputError(f"{path} exists already; name another file") from None
    except OSError as error:
        raise InputError(f"{path} cannot be written: {error.strerror}") from None
