"""Which events and filters this site can emit: discovered from what is installed, nothing listed by hand."""
