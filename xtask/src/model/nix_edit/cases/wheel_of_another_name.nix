{ fetchFromGitHub, fetchPypi }:
{
  src = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = "1.12.1";
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
  web = fetchPypi {
    pname = "dagster_webserver";
    version = "1.12.1";
    format = "wheel";
    hash = "sha256-9CaA9m+CP0S++SmzGFOgiEifQ4/l9qCJapiOUrO0R7w=";
  };
}
