"""Release + recipe → adapter: TRL and PEFT in a subprocess. Knows no server, no gate and no GGUF writer."""
