{ pkgs }: pkgs.python312Packages.click
