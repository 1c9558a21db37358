fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  tag = "1.12.1";
  sha256 = "a50a5ab6d99225d98dd9861420d5a7e9accf1929819c808bd884d30a167e925a";
}
