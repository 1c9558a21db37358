from dagster_graphql.cli import main

main()
