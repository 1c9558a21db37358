{ buildPythonPackage, source }:
buildPythonPackage {
  pname = "dagster";
  version = "1.12.1";
  src = source;
}
