{ buildPythonPackage, fetchFromGitHub, fetchPypi }:
{
  a = buildPythonPackage (finalAttrs: {
    pname = "dagster";
    version = "1.12.1";
    src = fetchFromGitHub {
      owner = "dagster-io";
      repo = "dagster";
      tag = finalAttrs.version;
      hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
    };
  });
  b = buildPythonPackage (finalAttrs: {
    pname = "dagster-webserver";
    version = "1.12.1";
    src = fetchPypi {
      pname = "dagster_webserver";
      inherit (finalAttrs) version;
      format = "wheel";
      python = "py3";
      hash = "sha256-9CaA9m+CP0S++SmzGFOgiEifQ4/l9qCJapiOUrO0R7w=";
    };
  });
}
