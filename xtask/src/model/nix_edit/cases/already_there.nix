fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  tag = "1.9.12";
  hash = "sha256-MDV2gb3rdkBpcKatr/HD//CM+lguwn12VAxyxaXy28c=";
}
