import ../../../nix/separate/dagster-webserver.nix
