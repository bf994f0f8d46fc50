"""What the plugin adds to glue's windows: its viewers and the entries of the menu Plugins."""
