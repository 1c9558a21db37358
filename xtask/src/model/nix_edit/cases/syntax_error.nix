fetchFromGitHub {
  owner = "dagster-io"
  repo = "dagster";
}
