"""The search for a shape: millions of configurations, timed on a device, trained in rounds."""
