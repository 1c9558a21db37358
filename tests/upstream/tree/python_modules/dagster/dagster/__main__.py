from dagster.cli import main

main()
