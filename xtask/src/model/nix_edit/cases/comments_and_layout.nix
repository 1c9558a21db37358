# Dagster 1.12.1 as of today; 1.12.1 may stay in comments
fetchFromGitHub	{   owner="dagster-io" ;repo = /* which: 1.12.1 */ "dagster";
   tag    =

      "1.12.1"   ;	hash="sha256-YlPloFELPPgEQk0/dxNYRj0jtG6/qx6NBUr0XUOKl+Q="; }
# last line without a newline