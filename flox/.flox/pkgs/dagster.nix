import ../../../nix/separate/dagster.nix
