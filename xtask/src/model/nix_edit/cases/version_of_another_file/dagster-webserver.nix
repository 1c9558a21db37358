{ buildPythonPackage, fetchPypi, dagster-src }:
buildPythonPackage {
  pname = "dagster-webserver";
  inherit (dagster-src) version;
  src = fetchPypi {
    pname = "dagster_webserver";
    inherit (dagster-src) version;
    format = "wheel";
    python = "py3";
    hash = "sha256-9CaA9m+CP0S++SmzGFOgiEifQ4/l9qCJapiOUrO0R7w=";
  };
}
