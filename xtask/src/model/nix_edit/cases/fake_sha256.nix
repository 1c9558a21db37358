{ lib, fetchFromGitHub }:
fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  tag = "1.12.1";
  sha256 = (lib.fakeSha256);
}
