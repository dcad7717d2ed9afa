"""The application layer: what the command line and, later, the web page share."""
