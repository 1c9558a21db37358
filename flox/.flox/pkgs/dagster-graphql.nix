import ../../../nix/separate/dagster-graphql.nix
