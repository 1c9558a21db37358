import ../../../nix/separate/dagster-shared.nix
