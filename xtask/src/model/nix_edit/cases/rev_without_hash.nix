fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  rev = "1.12.1";
}
