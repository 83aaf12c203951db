"""The SQL that the program installs and runs, shipped as files; `londiste_lite.sqlfiles` reads them."""
