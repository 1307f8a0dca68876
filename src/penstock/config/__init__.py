"""One TOML file, one frozen dataclass per section; secrets by reference only."""
