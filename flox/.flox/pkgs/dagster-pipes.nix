import ../../../nix/separate/dagster-pipes.nix
