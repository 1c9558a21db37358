{ fetchFromGitHub, fetchPypi }:
{
  ours = fetchFromGitHub {
    owner = "dagster-io";
    repo = "dagster";
    tag = "1.12.1";
    hash = "sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q=";
  };
  other = fetchFromGitHub {
    owner = "psf";
    repo = "requests";
    tag = "1.12.1";
    hash = "sha256-pQpattmS9VmO3ZIQUFn66az8GSmB4IvYhTTCFn6SUmo=";
  };
  pypi = fetchPypi {
    pname = "requests";
    version = "2.32.0";
    hash = "sha256-d6xi4mKdjkX2JFicDIv5niSzpyI0m/Hnm8GGAIU04kY=";
  };
}
