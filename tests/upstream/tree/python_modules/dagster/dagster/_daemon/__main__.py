from dagster._daemon import main

main()
