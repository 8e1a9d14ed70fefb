"""From weights to files for other programs, and to engines that run them here."""
