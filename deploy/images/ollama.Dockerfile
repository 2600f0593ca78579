# Ollama as a user without rights, who owns the folder of its models.
FROM ollama/ollama:0.34.1
RUN install -d -o 10001 -g 10001 /models
USER 10001:10001
