"""Many nodes from one process: sessions of replay that share the provider's connections and a few threads."""
