import ../../../nix/separate/dagster-src.nix
