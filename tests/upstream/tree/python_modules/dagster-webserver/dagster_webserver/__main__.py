from dagster_webserver.cli import main

main()
