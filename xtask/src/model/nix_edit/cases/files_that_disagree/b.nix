fetchFromGitHub {
  owner = "dagster-io";
  repo = "dagster";
  tag = "1.12.0";
  hash = "sha256-MBI7vTTIrFk63hd6u6BL8HrOW5e1b1XGBCkmolSkLro=";
}
