fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  tag = "1.12.1";
  sha256 = "0sjjj9z1dhilhpc8pq4154czrb79z9cm044jvn75kxcjv6v5l2m5";
}
