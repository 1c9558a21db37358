{ lib, fetchFromGitHub }:
fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  tag = "1.12.1";
  hash = lib.fakeHash;
}
