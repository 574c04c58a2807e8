# One image for coordinator and workers: `docker compose up --build` (see docker-compose.yml).
FROM python:3.11-slim

WORKDIR /app

# The dependencies first: they change seldom, and this layer is the long one.
COPY pyproject.toml ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" \
      > /tmp/requirements.txt \
 && pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore -r /tmp/requirements.txt

COPY README.md LICENSE ./
COPY ddp ddp
COPY workers workers
COPY launcher launcher
RUN pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore --no-deps .
COPY configs configs

# A run needs no rights; a volume mounted on runs/ belongs to the same user.
RUN useradd --create-home ddp && mkdir runs && chown ddp runs
USER ddp
ENV PYTHONUNBUFFERED=1
ENTRYPOINT ["ddp"]
