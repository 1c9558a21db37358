import ../../../nix/combined/dagster-complete.nix
