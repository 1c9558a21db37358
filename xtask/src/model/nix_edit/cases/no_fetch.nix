{ lib }:
lib.id "1.12.1"
